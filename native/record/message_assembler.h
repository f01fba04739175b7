// message_assembler.h: one DTLS handshake message put together from its fragments.
//
// Fragments may come in any order, twice, and overlapping (RFC 6347 section 4.2.3). Where two
// overlap they must agree: a fragment that contradicts an earlier one is refused, so what we
// read and what OpenSSL reads from the fragments we let through is the same message.
// Memory: at most 9/8 of `maxLength`, taken when the first fragment comes.
#pragma once

#include "base/bytes.h"

namespace mcbn {

class MessageAssembler {
 public:
  enum class Added { Refused, Partial, Complete };

  // `maxLength`: bytes of the longest message body taken.
  explicit MessageAssembler(size_t maxLength) : maxLength_(maxLength) {}

  // `length`: of the whole body, the same in every fragment. Refused: longer than the limit,
  // another length than before, outside the message, or contradicting bytes; nothing changes then.
  // Complete also for a repetition after completion.
  Added add(size_t length, size_t offset, ByteView fragment);

  bool started() const { return started_; }
  bool complete() const { return started_ && missing_ == 0; }
  // The body; empty until complete. Valid until reset().
  ByteView body() const { return complete() ? ByteView(body_) : ByteView(); }
  // Ready for another message; gives its memory back.
  void reset();
  // Takes all the memory that it may need now, and clear() keeps it: nothing is allocated later.
  void reserve();
  void clear();

 private:
  bool has(size_t index) const { return present_[index / 8] >> (index % 8) & 1; }

  size_t maxLength_;
  size_t missing_ = 0;
  bool started_ = false;
  Bytes body_;
  Bytes present_;  // one bit a byte of body_
};

}  // namespace mcbn
