// wake_pace.h: whether JavaScript's thread is told at once of what has happened.
//
// To wake it takes a system call and a change of threads, a tenth of what a server's handshake
// costs. Nobody waits for the news that a server's session has opened or ended: a peer that has
// something to say sends a message. So the first such news is told at once, and what comes within a
// millisecond of it together, when that is over. Everything else is told at once, and all that was
// held back before it.
//
// Thread: that of the engine (io_thread.h).
#pragma once

#include "base/time.h"

namespace mcbn {

class WakePace {
 public:
  // Whether to tell now; otherwise ask again at deadline(). `patient`: all of it may wait.
  bool tells(bool patient, Milliseconds now) {
    if (patient && now < told_ + kPatience) {
      deadline_ = told_ + kPatience;
      return false;
    }
    told_ = now;
    toldAll();
    return true;
  }
  // Nothing is held back any more: either thread has told it.
  void toldAll() { deadline_ = kNever; }
  // When something is held back: until when.
  Milliseconds deadline() const { return deadline_; }

 private:
  // A millisecond, whatever part of the first had passed.
  static constexpr Milliseconds kPatience = 2;

  Milliseconds told_ = 0;
  Milliseconds deadline_ = kNever;
};

}  // namespace mcbn
