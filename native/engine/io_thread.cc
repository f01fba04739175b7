#include "engine/io_thread.h"

#include <algorithm>
#include <chrono>
#include <semaphore>
#include <utility>

namespace mcbn {
namespace {

constexpr uint64_t kWakeUpToken = UINT64_MAX;

uint32_t littleEndian(ByteView bytes) {
  return bytes[0] | bytes[1] << 8 | bytes[2] << 16 | static_cast<uint32_t>(bytes[3]) << 24;
}

// True when `a` comes after `b`; submission numbers wrap.
bool after(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) > 0; }

}  // namespace

IoThread::IoThread(std::function<void()> wake) : events_(std::move(wake)) {}

IoThread::~IoThread() { stop(); }

SystemError IoThread::start() {
  if (poller_.error()) return poller_.error();
  if (wake_up_.error()) return wake_up_.error();
  if (const SystemError error = poller_.add(wake_up_.fd(), kWakeUpToken)) return error;
  thread_ = std::thread([this] { run(); });
  return {};
}

void IoThread::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  wake_up_.ring();
  thread_.join();
}

void IoThread::post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  wake_up_.ring();
}

void IoThread::call(Task task) {
  if (!thread_.joinable()) return;
  std::binary_semaphore done(0);
  post([&](IoThread& self) {
    task(self);
    done.release();
  });
  done.acquire();
}

uint32_t IoThread::submit(ByteView rows) {
  uint32_t number;
  {
    const std::lock_guard lock(mutex_);
    submitted_ += 1;
    if (submitted_ == 0) submitted_ = 1;  // 0 means "none" to notifyAt()
    number = submitted_;
    submissions_.push_back({number, Bytes(rows.begin(), rows.end())});
  }
  wake_up_.ring();
  return number;
}

void IoThread::notifyAt(uint32_t submission) {
  notify_at_ = submission;
  wake_up_.ring();
}

Milliseconds IoThread::now() const {
  using std::chrono::steady_clock;
  return static_cast<Milliseconds>(
      std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now().time_since_epoch())
          .count());
}

void IoThread::add(std::unique_ptr<Endpoint> endpoint) {
  endpoints_[endpoint->id()] = std::move(endpoint);
}

void IoThread::remove(uint32_t id) {
  deadlines_.erase(id);
  endpoints_.erase(id);
}

void IoThread::touched(Endpoint& endpoint) {
  deadlines_.atLatest(endpoint.id(), endpoint.deadline());
  if (!endpoint.hasOutgoing() || endpoint.blocked() || endpoint.dirty) return;
  endpoint.dirty = true;
  dirty_.push_back(endpoint.id());
}

Endpoint* IoThread::endpoint(uint32_t id) {
  const auto found = endpoints_.find(id);
  return found == endpoints_.end() ? nullptr : found->second.get();
}

// ---- the I/O thread ----------------------------------------------------------------------------

void IoThread::run() {
  while (!stopping_) {
    for (const PollEvent& event : poller_.wait(waitTime())) {
      if (event.token == kWakeUpToken) {
        wake_up_.drain();
        continue;
      }
      Endpoint* const found = endpoint(static_cast<uint32_t>(event.token));
      if (!found) continue;
      if (event.writable) found->flush();
      if (event.readable || event.error) found->receive(now());
      touched(*found);
    }
    runTasks();
    sendSubmissions(false);
    expire();
    for (const uint32_t id : std::exchange(dirty_, {})) {
      Endpoint* const found = endpoint(id);
      if (!found) continue;
      found->dirty = false;
      found->flush();
    }
    reportProgress();
    events_.publish();
  }
  endpoints_.clear();
}

void IoThread::expire() {
  const Milliseconds time = now();
  services_.free_memory.expire(time);
  while (const auto due = deadlines_.pop(time)) {
    Endpoint* const found = endpoint(*due);
    if (!found) continue;
    found->expire(time);
    touched(*found);
  }
}

int IoThread::waitTime() const {
  if (!dirty_.empty()) return 0;
  const Milliseconds next = std::min(deadlines_.next(), services_.free_memory.deadline());
  if (next == kNever) return -1;
  const Milliseconds time = now();
  return next <= time ? 0 : static_cast<int>(std::min<Milliseconds>(next - time, 60'000));
}

void IoThread::runTasks() {
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
  }
  for (const Task& task : tasks) task(*this);
}

void IoThread::sendSubmissions(bool regardless) {
  {
    const std::lock_guard lock(mutex_);
    for (Submission& submission : submissions_) sending_.push_back(std::move(submission));
    submissions_.clear();
  }
  // While a socket's buffer is full nothing more is encrypted: what waits stays as small as it
  // came.
  size_t taken = 0;
  while (taken < sending_.size() && (regardless || !anyBlocked())) {
    sendRows(sending_[taken].rows);
    sent_ = sending_[taken].number;
    taken += 1;
  }
  sending_.erase(sending_.begin(), sending_.begin() + static_cast<ptrdiff_t>(taken));
}

void IoThread::sendRows(ByteView rows) {
  constexpr size_t kHeader = 12;
  const Milliseconds time = now();
  while (rows.size() >= kHeader) {
    const uint32_t id = littleEndian(rows);
    const uint32_t session = littleEndian(rows.subspan(4));
    const uint32_t length = littleEndian(rows.subspan(8));
    rows = rows.subspan(kHeader);
    if (length > rows.size()) return;
    if (Endpoint* found = endpoint(id)) {
      found->send(session, rows.first(length), time);
      touched(*found);
    }
    rows = rows.subspan(length);
  }
}

void IoThread::reportProgress() {
  if (anyBlocked()) return;
  progress_.store(sent_, std::memory_order_release);
  const uint32_t wanted = notify_at_;
  if (wanted == 0 || after(wanted, sent_)) return;
  notify_at_ = 0;
  events_.filling().rows.push_back({EventKind::Progress, 0, 0, sent_, 0});
}

}  // namespace mcbn
