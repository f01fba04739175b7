#include "engine/io_thread.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <semaphore>
#include <utility>

#include "base/clock.h"
#include "base/few.h"

namespace mcbn {
namespace {

constexpr uint64_t kWakeUpToken = UINT64_MAX;

Microseconds microseconds() {
  using std::chrono::steady_clock;
  return static_cast<Microseconds>(
      std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now().time_since_epoch())
          .count());
}

// What JavaScript's thread sends by itself. More is worth waking the I/O thread: it encrypts while
// JavaScript goes on.
constexpr size_t kSentHere = 4'096;

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
  javascript_.check();
  stopping_ = true;
  wake_up_.ring();
  attendance_.interrupt();
  thread_.join();
}

void IoThread::post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  wake_up_.ring();
}

void IoThread::call(const Task& task) {
  javascript_.check();
  if (!thread_.joinable() || runHere(task)) return;
  std::binary_semaphore done(0);
  post([&](IoThread& self) {
    task(self);
    done.release();
  });
  done.acquire();
}

uint32_t IoThread::submit(MutableBytes rows) {
  javascript_.check();
  if (rows.size() <= kSentHere) {
    uint32_t number = 0;
    const bool sent = runHere([&](IoThread& self) {
      number = self.send_queue_.number();
      self.sendRows(number, rows);
    });
    if (sent) return number;
  }
  const uint32_t number = send_queue_.add(rows);
  wake_up_.ring();
  return number;
}

uint32_t IoThread::submitCopy(ByteView rows) {
  javascript_.check();
  const uint32_t number = send_queue_.add(Bytes(rows.begin(), rows.end()));
  wake_up_.ring();
  return number;
}

void IoThread::notifyAt(uint32_t endpoint, uint32_t submission) {
  javascript_.check();
  send_queue_.notifyAt(endpoint, submission);
  wake_up_.ring();
}

bool IoThread::nothingWaits() {
  const std::lock_guard lock(mutex_);
  return tasks_.empty() && send_queue_.empty();
}

// On JavaScript's thread: does at once what the I/O thread would have to be woken for. False when
// that one is awake, or when something was handed over that comes first.
bool IoThread::runHere(const Task& task) {
  if (!Poller::changesWhileWaiting()) return false;
  const std::unique_lock engine(engine_, std::try_to_lock);
  if (!engine || !running_) return false;
  const Holding holds(engine_holder_);
  if (attendance_.attended()) {
    runTasks();
    sendSubmissions();
  } else if (!nothingWaits()) {
    return false;
  }
  task(*this);
  finishTurn(Telling::AtOnce);
  if (!attendance_.attended() && nextDeadline() < asleep_until_) wake_up_.ring();
  return true;
}

bool IoThread::attend() {
  javascript_.check();
  if (poller_.fd() < 0 || !attendance_.invite()) return false;
  wake_up_.ring();  // the poller is one thread's at a time: the other one has to come out of it
  return true;
}

bool IoThread::visit() {
  javascript_.check();
  const std::unique_lock engine(engine_, std::try_to_lock);
  // At work: with a deadline, or taking over, which the next visit will see.
  if (!engine) return true;
  const Holding holds(engine_holder_);
  if (!attendance_.attended()) return attendance_.invited();
  attendance_.visited(now());
  if (busy_poll_.limit() > 0) busy_poll_.heard(microseconds());
  look_until_.reset();
  look();
  finishTurn(Telling::Here);
  return attendance_.attended();
}

bool IoThread::lookAgain() {
  javascript_.check();
  for (bool worked = true;;) {
    const std::unique_lock engine(engine_, std::try_to_lock);
    if (!engine) return false;
    const Holding holds(engine_holder_);
    if (busy_poll_.limit() == 0 || !attendance_.attended()) return false;
    const Microseconds time = microseconds();
    if (std::exchange(worked, false)) {
      const Microseconds until = busy_poll_.lookUntil(time);
      if (!look_until_) look_until_ = until;
    }
    if (time >= *look_until_) return false;
    if (!(endpoints_.size() == 1 ? takeOnly() : look())) continue;
    busy_poll_.heard(microseconds());
    attendance_.visited(now());
    finishTurn(Telling::Here);
    return true;
  }
}

// Takes what is there; whether anything was.
bool IoThread::look() {
  if (takeOnly()) return true;
  const auto events = poller_.wait(0);
  takeTurn(events);
  return !events.empty();
}

// Where there is one socket, it is read without asking the poller which one is ready: a call less
// for each answer. False: that brought nothing, so it was not the socket.
bool IoThread::takeOnly() {
  if (endpoints_.size() != 1) return false;
  const Endpoint& only = *endpoints_.begin()->second;
  if (only.blocked()) return false;  // the poller knows whether there is room again
  const uint32_t id = only.id();
  const uint64_t before = only.stats().datagrams_received;
  const PollEvent event{.token = id, .readable = true};
  takeTurn({&event, 1});
  const Endpoint* const still = endpoint(id);
  return !still || still->stats().datagrams_received != before;
}

Milliseconds IoThread::now() const { return monotonicMilliseconds(); }

void IoThread::add(std::unique_ptr<Endpoint> endpoint) {
  engine_holder_.check();
  const bool counts = endpoint->busy_poll > 0;
  endpoints_[endpoint->id()] = std::move(endpoint);
  if (counts) findBusyPoll();
}

// The longest that any of them allows: they are heard by the same thread.
void IoThread::findBusyPoll() {
  Microseconds longest = 0;
  for (const auto& [id, endpoint] : endpoints_) longest = std::max(longest, endpoint->busy_poll);
  busy_poll_.setLimit(longest);
}

void IoThread::remove(uint32_t id) {
  engine_holder_.check();
  deadlines_.erase(id);
  send_queue_.forget(id);
  const auto found = endpoints_.find(id);
  if (found == endpoints_.end()) return;
  const bool counted = found->second->busy_poll > 0;
  endpoints_.erase(found);
  if (counted) findBusyPoll();
}

void IoThread::touched(Endpoint& endpoint) {
  engine_holder_.check();
  deadlines_.atLatest(endpoint.id(), endpoint.deadline());
  if (!endpoint.hasOutgoing() || endpoint.blocked() || endpoint.dirty) return;
  endpoint.dirty = true;
  dirty_.push_back(endpoint.id());
}

Endpoint* IoThread::endpoint(uint32_t id) {
  engine_holder_.check();
  const auto found = endpoints_.find(id);
  return found == endpoints_.end() ? nullptr : found->second.get();
}

ServerEndpoint* IoThread::server(uint32_t id) {
  Endpoint* const found = endpoint(id);
  return found ? found->asServer() : nullptr;
}

// ---- the I/O thread ----------------------------------------------------------------------------

void IoThread::run() {
#ifdef __linux__
  pthread_setname_np(pthread_self(), "mcbn I/O");  // what top and perf show
#endif
  std::unique_lock engine(engine_);
  const Holding holds(engine_holder_);
  running_ = true;
  while (!stopping_) {
    attendance_.begin(now());
    if (attendance_.attended()) {
      rest(engine);
      continue;
    }
    if (endpoints_.size() == 1 && read_on_.due()) {
      read_on_.found(takeOnly());
      finishTurn();
      continue;
    }
    const int time = waitTime();
    engine_holder_.give();
    engine.unlock();
    const auto events = poller_.wait(time);
    engine.lock();
    engine_holder_.take();
    takeTurn(events);
    finishTurn();
  }
  running_ = false;
  endpoints_.clear();
}

// While JavaScript's thread attends.
void IoThread::rest(std::unique_lock<std::mutex>& engine) {
  MCBN_ASSERT(engine.owns_lock() && attendance_.attended());
  const uint64_t visits = attendance_.visits();
  engine_holder_.give();
  attendance_.keepVigil(engine);
  engine_holder_.take();
  if (!attendance_.attended() || stopping_) return;
  const auto events = poller_.wait(0);
  if (visits == attendance_.visits() && !events.empty()) {
    attendance_.leave();  // nobody came: the event loop is blocked
    takeTurn(events);
  } else {
    attendance_.noteSilence(now());
    expire();
  }
  finishTurn();
}

void IoThread::takeTurn(std::span<const PollEvent> events) {
  asleep_until_ = kNever;
  for (const PollEvent& event : events) {
    if (event.token == kWakeUpToken) {
      wake_up_.drain();
      continue;
    }
    Endpoint* const found = endpoint(static_cast<uint32_t>(event.token));
    if (!found) continue;
    if (event.readable || event.error) {
      event.token < Endpoint::kFleetToken ? found->receive(now()) : found->receiveForwarded(now());
    }
    // Also when only something was read: receive() may have found room for what waited, and then
    // the poller does not tell of it any more.
    flush(*found);
    sendHeld(*found, false);
    touched(*found);
  }
  runTasks();
  sendSubmissions();
  expire();
}

void IoThread::finishTurn(Telling telling) {
  for (const uint32_t id : std::exchange(dirty_, {})) {
    Endpoint* const found = endpoint(id);
    if (!found) continue;
    found->dirty = false;
    flush(*found);
    sendHeld(*found, false);
  }
  send_queue_.sent(sent_, [this](uint32_t id) {
    events_.filling().rows.push_back({EventKind::Progress, id, 0, 0, 0});
  });
  sending_.clear();
  released_.store(sent_, std::memory_order_release);
  const std::vector<EventRow>& news = events_.filling().rows;
  attendance_.noteTurn(news);
  if (news.empty()) return wake_pace_.toldAll();
  const bool patient = telling == Telling::Paced && !attendance_.attended() && mayWait(news);
  if (wake_pace_.tells(patient, now())) events_.publish(telling != Telling::Here);
}

// Whether all of it is of sessions that have opened or ended, with which JavaScript can do nothing
// yet, or any more.
bool IoThread::mayWait(std::span<const EventRow> rows) {
  return std::ranges::all_of(rows, [this](const EventRow& row) {
    const bool may = row.kind == EventKind::Opened || row.kind == EventKind::Ended ||
                     row.kind == EventKind::Refused;
    const Endpoint* const of = may ? endpoint(row.endpoint) : nullptr;
    return of && of->sessionsMayWait();
  });
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

Milliseconds IoThread::nextDeadline() {
  return std::min({deadlines_.next(), services_.free_memory.deadline(), wake_pace_.deadline()});
}

int IoThread::waitTime() {
  if (!dirty_.empty()) return 0;
  asleep_until_ = nextDeadline();
  const Milliseconds time = now();
  // Memory is given back when traffic has ceased.
  if (events_.pool()->trim()) asleep_until_ = std::min(asleep_until_, time + 1'000);
  if (asleep_until_ == kNever) return -1;
  return asleep_until_ <= time
             ? 0
             : static_cast<int>(std::min<Milliseconds>(asleep_until_ - time, 60'000));
}

void IoThread::runTasks() {
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
  }
  for (const Task& task : tasks) task(*this);
}

// ---- sending -----------------------------------------------------------------------------------

void IoThread::sendSubmissions() {
  for (Submission& submission : send_queue_.take()) {
    sending_.push_back(std::move(submission));
    if (sending_.back().bytes().size() > kSentHere) attendance_.noteLargeSubmission();
    sendRows(sending_.back().number, sending_.back().bytes());
  }
}

void IoThread::sendRows(uint32_t number, MutableBytes rows) {
  const Milliseconds time = now();
  SubmittedTrain train;
  Endpoint* found = nullptr;
  while (train.take(rows)) {
    const SubmittedRow& first = train.rows().front();
    if (!found || found->id() != first.endpoint) found = endpoint(first.endpoint);
    if (!found) continue;
    // While a socket's buffer is full nothing more is encrypted for it: what waits stays as small
    // as it came.
    if (found->blocked()) {
      for (const SubmittedRow& row : train.rows()) {
        send_queue_.hold(row.endpoint, number, row.whole);
      }
    } else {
      send(*found, train.rows(), number, time);
    }
  }
  sent_ = number;
}

// Rows of one session.
void IoThread::send(Endpoint& endpoint, std::span<const SubmittedRow> rows, uint32_t number,
                    Milliseconds time) {
  Few<MutableBytes, SubmittedTrain::kMost> messages;
  for (const SubmittedRow& row : rows) messages.add(row.message);
  endpoint.submitted = number;
  endpoint.send(rows.front().session, messages.items(), time);
  touched(endpoint);
}

void IoThread::sendHeld(Endpoint& endpoint, bool regardless) {
  while (regardless || !endpoint.blocked()) {
    auto held = send_queue_.takeHeld(endpoint.id());
    if (!held) return;
    const Milliseconds time = now();
    MutableBytes rest = held->bytes();
    SubmittedTrain train;
    while (train.take(rest)) send(endpoint, train.rows(), held->number, time);
    flush(endpoint);
  }
}

void IoThread::sendEverything(Endpoint& endpoint) {
  engine_holder_.check();
  sendSubmissions();
  sendHeld(endpoint, true);
}

void IoThread::flush(Endpoint& endpoint) {
  endpoint.flush();
  if (endpoint.blocked()) {
    send_queue_.behind(endpoint.id(), std::nullopt);
  } else if (send_queue_.holds(endpoint.id())) {
    send_queue_.behind(endpoint.id(), endpoint.submitted);
  } else {
    send_queue_.forget(endpoint.id());
  }
}

}  // namespace mcbn
