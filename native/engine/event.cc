#include "engine/event.h"

#include <utility>

namespace mcbn {

void EventBatch::add(EventKind kind, uint32_t endpoint, uint32_t session, EventDetail detail) {
  rows.push_back({kind, endpoint, session, static_cast<uint32_t>(details.size()), 0});
  details.push_back(std::move(detail));
}

void EventQueue::publish() {
  if (filling_.empty()) return;
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    waiting_bytes_ += filling_.slab.size();
    waiting_.push_back(std::move(filling_));
    wake = !woken_;
    woken_ = true;
  }
  filling_ = {};
  if (wake) wake_();
}

std::deque<EventBatch> EventQueue::takeAll() {
  const std::lock_guard lock(mutex_);
  woken_ = false;
  waiting_bytes_ = 0;
  return std::exchange(waiting_, {});
}

}  // namespace mcbn
