// read_on.h: whether a thread reads its only socket again before it asks the poller.
//
// Under load, more has come by the end of a turn: reading at once finds it, and the question whether
// there is something, a system call a turn, was needless. Where reading finds nothing it was the
// needless one. So it is tried while it finds something; after that only now and then, with pauses
// that double. Not for long in a row: the poller also tells of other threads, and lets JavaScript's
// have the engine.
//
// Thread: that of the engine (io_thread.h).
#pragma once

#include <algorithm>

namespace mcbn {

class ReadOn {
 public:
  // A turn is over. Whether to read instead of asking.
  bool due() {
    if (pause_ > 0) {
      pause_ -= 1;
      return false;
    }
    if (in_a_row_ == kInARow) {
      in_a_row_ = 0;
      return false;
    }
    in_a_row_ += 1;
    return true;
  }
  // Whether it found something.
  void found(bool something) {
    misses_ = something ? 0 : std::min(2 * misses_ + 1, kLongestPause);
    pause_ = misses_;
    if (!something) in_a_row_ = 0;
  }

 private:
  static constexpr unsigned kInARow = 8;
  static constexpr unsigned kLongestPause = 127;  // turns

  unsigned in_a_row_ = 0;
  unsigned misses_ = 0;  // as the pause that they led to
  unsigned pause_ = 0;   // turns
};

}  // namespace mcbn
