// arena.h: bytes that grow at the end without being cleared first.
//
// std::vector would zero the 16 KB that OpenSSL asks for before every read; that costs more than
// the read.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/bytes.h"

namespace mcbn {

class Arena {
 public:
  // Room for `count` bytes behind the end; valid until the next call.
  uint8_t* reserve(size_t count) {
    if (size_ + count > capacity_) grow(size_ + count);
    return bytes_.get() + size_;
  }
  // Of what was reserved.
  void commit(size_t count) {
    MCBN_ASSERT(size_ + count <= capacity_);
    size_ += count;
  }
  void append(ByteView bytes) {
    if (bytes.empty()) return;
    std::memcpy(reserve(bytes.size()), bytes.data(), bytes.size());
    commit(bytes.size());
  }
  void clear() { size_ = 0; }

  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  const uint8_t* data() const { return bytes_.get(); }
  ByteView view(size_t offset, size_t length) const {
    MCBN_ASSERT(offset + length <= size_);
    return {bytes_.get() + offset, length};
  }
  // Gives the bytes away; the arena is empty then.
  std::unique_ptr<uint8_t[]> release() {
    size_ = capacity_ = 0;
    return std::move(bytes_);
  }

 private:
  static constexpr size_t kFirst = 32 * 1024;

  void grow(size_t wanted) {
    const size_t capacity = std::max({wanted, 2 * capacity_, kFirst});
    std::unique_ptr<uint8_t[]> larger(new uint8_t[capacity]);
    if (size_ > 0) std::memcpy(larger.get(), bytes_.get(), size_);
    bytes_ = std::move(larger);
    capacity_ = capacity;
  }

  std::unique_ptr<uint8_t[]> bytes_;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace mcbn
