#include "engine/attendance.h"

#include <algorithm>
#include <chrono>

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

bool Attendance::invite() {
  if (!due_.load(std::memory_order_relaxed)) return false;
  due_ = false;
  asked_ = true;
  return true;
}

void Attendance::begin(Milliseconds now) {
  if (!asked_.exchange(false)) return;
  attended_ = true;
  last_visit_ = now;
}

void Attendance::leave() {
  attended_ = false;
  small_turns_ = 0;
  interrupt();
}

// Whether turns that bring something are small: a few messages, and no handshakes, which two
// threads do better.
void Attendance::noteTurn(std::span<const EventRow> events) {
  if (events.empty()) return;
  const bool small = events.size() <= kSmallTurn &&
                     std::all_of(events.begin(), events.end(), [](const EventRow& row) {
                       return row.kind == EventKind::Message || row.kind == EventKind::Progress;
                     });
  small_turns_ = small ? small_turns_ + 1 : 0;
  if (small_turns_ == 0 && attended_) leave();
  due_.store(small_turns_ >= kSmallTurns && !attended_, std::memory_order_relaxed);
}

void Attendance::noteLargeSubmission() {
  if (attended_) leave();
  small_turns_ = 0;
}

void Attendance::visited(Milliseconds now) {
  visits_ += 1;
  last_visit_ = now;
}

void Attendance::keepVigil(std::unique_lock<std::mutex>& engine) {
  MCBN_ASSERT(engine.owns_lock());
  left_.wait_for(engine, kVigil);
}

void Attendance::noteSilence(Milliseconds now) {
  if (now - last_visit_ > kSilence) leave();
}

}  // namespace mcbn
