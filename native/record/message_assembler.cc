#include "record/message_assembler.h"

#include <algorithm>

namespace mcbn {

MessageAssembler::Added MessageAssembler::add(size_t length, size_t offset, ByteView fragment) {
  if (length > maxLength_ || offset > length || fragment.size() > length - offset) {
    return Added::Refused;
  }
  if (started_ && length != body_.size()) return Added::Refused;
  if (!started_) {
    started_ = true;
    missing_ = length;
    if (fragment.size() == length) {  // nothing else will come
      body_.assign(fragment.begin(), fragment.end());
      present_.assign((length + 7) / 8, 0xFF);
      missing_ = 0;
      return Added::Complete;
    }
    body_.resize(length);
    present_.assign((length + 7) / 8, 0);
  }

  for (size_t i = 0; i < fragment.size(); i++) {
    if (has(offset + i) && body_[offset + i] != fragment[i]) return Added::Refused;
  }
  if (missing_ == 0) return Added::Complete;
  for (size_t i = 0; i < fragment.size(); i++) {
    const size_t index = offset + i;
    if (has(index)) continue;
    body_[index] = fragment[i];
    present_[index / 8] |= static_cast<uint8_t>(1 << (index % 8));
    missing_--;
  }
  return missing_ == 0 ? Added::Complete : Added::Partial;
}

void MessageAssembler::reserve() {
  body_.reserve(maxLength_);
  present_.reserve((maxLength_ + 7) / 8);
}

void MessageAssembler::clear() {
  started_ = false;
  missing_ = 0;
  body_.clear();
  present_.clear();
}

void MessageAssembler::reset() {
  started_ = false;
  missing_ = 0;
  body_ = Bytes();
  present_ = Bytes();
}

}  // namespace mcbn
