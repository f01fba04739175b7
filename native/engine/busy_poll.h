// busy_poll.h: whether a thread that has nothing left to do looks again for a while before it
// sleeps.
//
// To wake a sleeping thread takes longer than to make an answer. A thread that goes on looking hears
// the next datagram at once, and uses up a processor meanwhile. So it does so only while that pays:
// while, of the last few times, something came within the limit. Where it does not, it gives up
// after two or three attempts; where nothing comes, it never looks.
//
// Times are microseconds of a monotonic clock. Thread: that of the engine (io_thread.h).
#pragma once

#include <algorithm>
#include <cstdint>

namespace mcbn {

using Microseconds = uint64_t;

class BusyPoll {
 public:
  // How long to look at most, each time the thread has nothing left to do; 0: not at all.
  void setLimit(Microseconds limit) {
    if (limit_ == limit) return;
    *this = BusyPoll();
    limit_ = limit;
  }
  Microseconds limit() const { return limit_; }

  // The thread begins to work on something that came now.
  void heard(Microseconds now) {
    if (limit_ == 0) return;
    const bool soon = rested_ != 0 && now - rested_ <= limit_;
    paid_ = soon ? std::min(paid_ + 1, kMost) : std::max(paid_ - kMissed, 0);
  }
  // The thread has nothing left to do now. Until when to look: not after `now` when it is not
  // worth it.
  Microseconds lookUntil(Microseconds now) {
    rested_ = now;
    return limit_ > 0 && paid_ >= kWorthIt ? now + limit_ : now;
  }

 private:
  // Times that it would have paid, less kMissed for each that it would not.
  static constexpr int kWorthIt = 4;
  static constexpr int kMost = 8;
  static constexpr int kMissed = 2;

  Microseconds limit_ = 0;
  Microseconds rested_ = 0;
  int paid_ = 0;
};

}  // namespace mcbn
