#include "engine/event.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace mcbn {

void EventBatch::add(EventKind kind, uint32_t endpoint, uint32_t session, EventDetail detail) {
  rows.push_back({kind, endpoint, session, static_cast<uint32_t>(details.size()), 0});
  details.push_back(std::move(detail));
}

void EventBatch::append(EventBatch& later) {
  const auto slab_offset = static_cast<uint32_t>(slab.size());
  const auto detail_offset = static_cast<uint32_t>(details.size());
  for (EventRow row : later.rows) {
    if (row.kind == EventKind::Message) {
      row.a += slab_offset;
    } else if (row.kind != EventKind::Progress && row.a != kNoDetail) {
      row.a += detail_offset;
    }
    rows.push_back(row);
  }
  slab.append(later.slab.view(0, later.slab.size()));
  std::move(later.details.begin(), later.details.end(), std::back_inserter(details));
  later.rows.clear();
  later.slab.clear();
  later.details.clear();
}

void EventQueue::publish() {
  if (filling_.empty()) return;
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    waiting_bytes_ += filling_.weight();
    // While JavaScript is busy, small batches join: each has a slab of its own, of 32 KB at least.
    if (!waiting_.empty() && waiting_.back().weight() + filling_.weight() <= kSlabBytes) {
      waiting_.back().append(filling_);
    } else {
      waiting_.push_back(std::exchange(filling_, {}));
    }
    wake = !woken_;
    woken_ = true;
  }
  if (wake) wake_();
}

std::deque<EventBatch> EventQueue::takeAll() {
  const std::lock_guard lock(mutex_);
  woken_ = false;
  waiting_bytes_ = 0;
  return std::exchange(waiting_, {});
}

}  // namespace mcbn
