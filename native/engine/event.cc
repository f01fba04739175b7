#include "engine/event.h"

#include <cstring>
#include <iterator>
#include <utility>

namespace mcbn {

void EventBatch::add(EventKind kind, uint32_t endpoint, uint32_t session, EventDetail detail) {
  rows.push_back({kind, endpoint, session, static_cast<uint32_t>(details.size()), 0});
  details.push_back(std::move(detail));
}

void EventBatch::append(EventBatch& later, SlabPool& pool) {
  MCBN_ASSERT(messages.fits(later.messages.size()));
  const auto message_offset = static_cast<uint32_t>(messages.size());
  const auto detail_offset = static_cast<uint32_t>(details.size());
  for (EventRow row : later.rows) {
    if (row.kind == EventKind::Message) {
      row.a += message_offset;
    } else if (row.kind != EventKind::Progress && row.a != kNoDetail) {
      row.a += detail_offset;
    }
    rows.push_back(row);
  }
  if (later.messages.size() > 0) {
    const ByteView bytes = later.messages.view(0, later.messages.size());
    std::memcpy(messages.reserve(pool), bytes.data(), bytes.size());
    messages.commit(bytes.size());
  }
  std::move(later.details.begin(), later.details.end(), std::back_inserter(details));
  later.clear();
}

void EventBatch::clear() {
  rows.clear();
  messages.clear();
  details.clear();
}

uint8_t* EventQueue::reserveMessage(size_t capacity) {
  if (!filling_.messages.fits(capacity)) publish();
  MCBN_ASSERT(filling_.messages.fits(capacity));
  return filling_.messages.reserve(*pool_);
}

void EventQueue::publish(bool wanted) {
  if (filling_.empty()) return;
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    waiting_bytes_ += filling_.weight();
    // While JavaScript is busy, small batches join: each has its own slab.
    if (!waiting_.empty() && waiting_.back().weight() + filling_.weight() <= kSlabBytes) {
      waiting_.back().append(filling_, *pool_);
    } else {
      waiting_.push_back(std::exchange(filling_, {}));
      if (!spare_.empty()) {
        filling_ = std::move(spare_.back());
        spare_.pop_back();
      }
    }
    wake = wanted && !woken_;
    woken_ = woken_ || wake;
  }
  if (wake) wake_();
}

std::unordered_set<uint32_t> EventQueue::unheard(uint32_t endpoint) {
  std::unordered_set<uint32_t> sessions;
  const auto look = [&](const EventBatch& batch) {
    for (const EventRow& row : batch.rows) {
      if (row.kind == EventKind::Message && row.endpoint == endpoint) sessions.insert(row.session);
    }
  };
  look(filling_);
  const std::lock_guard lock(mutex_);
  for (const EventBatch& batch : waiting_) look(batch);
  return sessions;
}

std::deque<EventBatch> EventQueue::takeAll() {
  const std::lock_guard lock(mutex_);
  woken_ = false;
  waiting_bytes_ = 0;
  return std::exchange(waiting_, {});
}

void EventQueue::recycle(EventBatch batch) {
  batch.clear();
  const std::lock_guard lock(mutex_);
  if (spare_.size() < kSpare) spare_.push_back(std::move(batch));
}

}  // namespace mcbn
