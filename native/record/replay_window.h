// replay_window.h: which record sequence numbers of an epoch were seen already.
// The last 64 numbers; what is older counts as seen (RFC 6347 section 4.1.2.6).
#pragma once

#include <cstdint>

namespace mcbn {

class ReplayWindow {
 public:
  bool seen(uint64_t sequence) const {
    if (sequence > newest_) return false;
    const uint64_t age = newest_ - sequence;
    return age >= 64 || (bits_ >> age & 1);
  }

  void mark(uint64_t sequence) {
    if (sequence > newest_) {
      const uint64_t ahead = sequence - newest_;
      bits_ = ahead >= 64 ? 1 : bits_ << ahead | 1;
      newest_ = sequence;
    } else if (newest_ - sequence < 64) {
      bits_ |= uint64_t{1} << (newest_ - sequence);
    }
  }

 private:
  uint64_t newest_ = 0;
  uint64_t bits_ = 0;  // bit i: newest_ - i
};

}  // namespace mcbn
