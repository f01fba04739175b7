// How JavaScript's thread takes the I/O thread's place while little is on its way.
//
// A wake-up of a sleeping thread costs more than all the rest of an answer together. The rule of
// the engine holds here too: a blocked event loop delays nothing but messages, by 4 ms at most.
#include <algorithm>
#include <chrono>

#include "engine/io_thread.h"

namespace mcbn {
namespace {

// A turn with more is not small: two threads get further with it.
constexpr size_t kSmallTurn = 8;  // events
// So many in a row, and it is worth the change.
constexpr unsigned kSmallTurns = 16;
// How long something may lie until the I/O thread takes it.
constexpr std::chrono::milliseconds kVigil(2);
// After so much silence the I/O thread sleeps without a vigil.
constexpr Milliseconds kSilence = 50;

}  // namespace

// Whether turns that bring something are small: a few messages, and no handshakes, which two
// threads do better.
void IoThread::noteTurn() {
  const std::vector<EventRow>& events = events_.filling().rows;
  if (events.empty()) return;
  const bool small = events.size() <= kSmallTurn &&
                     std::all_of(events.begin(), events.end(), [](const EventRow& row) {
                       return row.kind == EventKind::Message || row.kind == EventKind::Progress;
                     });
  small_turns_ = small ? small_turns_ + 1 : 0;
  if (small_turns_ == 0 && attended_) leave();
  attendance_due_.store(small_turns_ >= kSmallTurns && !attended_, std::memory_order_relaxed);
}

// More than is sent from JavaScript's thread.
void IoThread::noteLargeSubmission() {
  if (attended_) leave();
  small_turns_ = 0;
}

void IoThread::leave() {
  attended_ = false;
  small_turns_ = 0;
  left_.notify_all();
}

bool IoThread::attend() {
  if (!attendance_due_.load(std::memory_order_relaxed) || poller_.fd() < 0) return false;
  attendance_due_ = false;
  attendance_asked_ = true;
  wake_up_.ring();  // the poller is one thread's at a time: the other one has to come out of it
  return true;
}

bool IoThread::visit() {
  const std::unique_lock engine(engine_, std::try_to_lock);
  // At work: with a deadline, or taking over, which the next visit will see.
  if (!engine) return true;
  if (!attended_) return attendance_asked_;
  visits_ += 1;
  last_visit_ = now();
  takeTurn(poller_.wait(0));
  finishTurn(Waking::No);
  return attended_;
}

// The I/O thread, while JavaScript's attends.
void IoThread::rest(std::unique_lock<std::mutex>& engine) {
  const uint64_t visits = visits_;
  left_.wait_for(engine, kVigil);
  if (!attended_ || stopping_) return;
  const auto events = poller_.wait(0);
  if (visits == visits_ && !events.empty()) {
    leave();  // nobody came: the event loop is blocked
    takeTurn(events);
  } else {
    if (now() - last_visit_ > kSilence) leave();
    expire();
  }
  finishTurn();
}

}  // namespace mcbn
