// free_memory.h: gives memory that handshakes have used back to the system.
//
// A handshake takes 70 to 120 KB of OpenSSL's, and what a session keeps lies between such pieces.
// glibc returns only what is at the end of its heap by itself: after ten thousand handshakes a
// third of the process would be holes.
#pragma once

#include <cstdlib>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "base/time.h"

namespace mcbn {

// Decides when: once no handshake has ended for a second, and not for a few of them, since it takes
// milliseconds.
class FreeMemory {
 public:
  void handshakeEnded() { ended_ += 1; }

  Milliseconds deadline() const { return at_; }
  void expire(Milliseconds now) {
    if (ended_ != seen_) {
      seen_ = ended_;
      if (seen_ >= kWorthIt) at_ = now + kQuiet;
    }
    if (at_ > now) return;
    at_ = kNever;
    ended_ = seen_ = 0;
#ifdef __GLIBC__
    malloc_trim(0);
#endif
  }

 private:
  static constexpr uint64_t kWorthIt = 256;
  static constexpr Milliseconds kQuiet = 1'000;

  uint64_t ended_ = 0;
  uint64_t seen_ = 0;
  Milliseconds at_ = kNever;
};

}  // namespace mcbn
