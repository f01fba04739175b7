#include "engine/send_queue.h"

#include <utility>

namespace mcbn {
namespace {

// True when `a` comes after `b`; submission numbers wrap.
bool after(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) > 0; }

}  // namespace

uint32_t SendQueue::nextNumber() {
  last_number_ += 1;
  if (last_number_ == 0) last_number_ = 1;
  return last_number_;
}

uint32_t SendQueue::add(MutableBytes rows) {
  javascript_.check();
  const std::lock_guard lock(mutex_);
  queued_.push_back({nextNumber(), rows, {}});
  return last_number_;
}

uint32_t SendQueue::add(Bytes copy) {
  javascript_.check();
  const std::lock_guard lock(mutex_);
  queued_.push_back({nextNumber(), {}, std::move(copy)});
  return last_number_;
}

uint32_t SendQueue::number() {
  const std::lock_guard lock(mutex_);
  return nextNumber();
}

bool SendQueue::empty() const {
  const std::lock_guard lock(mutex_);
  return queued_.empty();
}

uint32_t SendQueue::progressOf(uint32_t endpoint) const {
  const auto found = behind_.find(endpoint);
  return found == behind_.end() ? sent_.load(std::memory_order_acquire) : found->second.complete;
}

uint32_t SendQueue::progress(uint32_t endpoint) const {
  javascript_.check();
  // In this order: an endpoint that falls behind in a submission is in behind_ before sent_ tells of it.
  const uint32_t sent = sent_.load(std::memory_order_acquire);
  if (behind_count_ == 0) return sent;
  const std::lock_guard lock(mutex_);
  return progressOf(endpoint);
}

void SendQueue::notifyAt(uint32_t endpoint, uint32_t submission) {
  javascript_.check();
  const std::lock_guard lock(mutex_);
  notifications_.push_back({endpoint, submission});
  waiting_ = true;
}

std::vector<Submission> SendQueue::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(queued_, {});
}

bool SendQueue::holds(uint32_t endpoint) const {
  if (behind_count_ == 0) return false;
  const std::lock_guard lock(mutex_);
  const auto found = behind_.find(endpoint);
  return found != behind_.end() && !found->second.held.empty();
}

void SendQueue::hold(uint32_t endpoint, uint32_t number, ByteView row) {
  const std::lock_guard lock(mutex_);
  std::deque<Submission>& held = fallBehind(endpoint).held;
  if (held.empty() || held.back().number != number) held.push_back({number, {}, {}});
  Bytes& rows = held.back().copy;
  rows.insert(rows.end(), row.begin(), row.end());
  rows.resize((rows.size() + 3) / 4 * 4);
}

std::optional<Submission> SendQueue::takeHeld(uint32_t endpoint) {
  if (behind_count_ == 0) return std::nullopt;
  const std::lock_guard lock(mutex_);
  const auto found = behind_.find(endpoint);
  if (found == behind_.end() || found->second.held.empty()) return std::nullopt;
  Submission oldest = std::move(found->second.held.front());
  found->second.held.pop_front();
  return oldest;
}

void SendQueue::behind(uint32_t endpoint, std::optional<uint32_t> complete) {
  const std::lock_guard lock(mutex_);
  Behind& behind = fallBehind(endpoint);
  if (complete) behind.complete = *complete;
}

// Until now it had got as far as everybody: its own last submission may be long ago, too long for
// numbers that wrap.
SendQueue::Behind& SendQueue::fallBehind(uint32_t endpoint) {
  const auto [found, made] = behind_.try_emplace(endpoint);
  if (made) found->second.complete = sent_.load(std::memory_order_relaxed);
  behind_count_ = behind_.size();
  return found->second;
}

void SendQueue::forget(uint32_t endpoint) {
  if (behind_count_ == 0) return;
  const std::lock_guard lock(mutex_);
  behind_.erase(endpoint);
  behind_count_ = behind_.size();
}

void SendQueue::sent(uint32_t number, const std::function<void(uint32_t endpoint)>& tell) {
  sent_.store(number, std::memory_order_release);
  if (!waiting_) return;
  std::vector<uint32_t> there;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(notifications_, [&](const Notification& wanted) {
      if (after(wanted.submission, progressOf(wanted.endpoint))) return false;
      there.push_back(wanted.endpoint);
      return true;
    });
    waiting_ = !notifications_.empty();
  }
  for (const uint32_t endpoint : there) tell(endpoint);
}

}  // namespace mcbn
