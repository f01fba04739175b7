// attendance.h: whether JavaScript's thread watches the poller in the I/O thread's place.
//
//   small turns, in a row --> invite() --> begin() --> attended() --> leave()
//
// A wake-up of a sleeping thread costs more than all the rest of an answer together. While little is
// on its way, such as one question and one answer at a time, JavaScript's thread *attends*: a
// datagram then wakes one thread instead of two. The I/O thread looks every 2 ms whether something
// is left lying, and takes over when JavaScript is busy, when traffic grows, and when it ceases: a
// blocked event loop delays nothing but messages, by 4 ms at most.
//
// Ownership   an IoThread has one.
// Thread      invite() and invited() are for JavaScript's thread, the rest for the thread that has
//             the engine, the mutex of io_thread.h.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <span>

#include "base/time.h"
#include "engine/event.h"

namespace mcbn {

class Attendance {
 public:
  // JavaScript's thread offers to attend. False: there is no occasion.
  bool invite();
  // Whether it has offered, and the I/O thread has not begun it yet.
  bool invited() const { return asked_; }

  // The I/O thread agrees to what was offered, if anything.
  void begin(Milliseconds now);
  bool attended() const { return attended_; }
  void leave();

  // After each turn, with what it brought.
  void noteTurn(std::span<const EventRow> events);
  // More was submitted than JavaScript's thread sends by itself.
  void noteLargeSubmission();
  // JavaScript's thread takes a turn.
  void visited(Milliseconds now);
  // How often it did.
  uint64_t visits() const { return visits_; }

  // The I/O thread waits, without the engine: for 2 ms, or until attendance ends.
  void keepVigil(std::unique_lock<std::mutex>& engine);
  // Ends it when nobody has come for long.
  void noteSilence(Milliseconds now);
  // Ends a vigil; from any thread.
  void interrupt() { left_.notify_all(); }

 private:
  bool attended_ = false;
  unsigned small_turns_ = 0;  // in a row
  Milliseconds last_visit_ = 0;
  uint64_t visits_ = 0;
  std::condition_variable left_;   // attended_ has ended
  std::atomic<bool> due_ = false;  // small turns have come long enough
  std::atomic<bool> asked_ = false;
};

}  // namespace mcbn
