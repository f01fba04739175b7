// Linux: epoll and eventfd. MCBN_PORTABLE chooses the other file, for tests.
#if defined(__linux__) && !defined(MCBN_PORTABLE)

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <unordered_map>

#include "datagram/poller.h"

namespace mcbn {
namespace {

constexpr size_t kMaxEvents = 64;

}  // namespace

struct Poller::State {
  ~State() {
    if (epoll >= 0) ::close(epoll);
  }

  int epoll = epoll_create1(EPOLL_CLOEXEC);
  std::unordered_map<int, uint64_t> tokens;  // epoll wants the token again at every change
  std::array<epoll_event, kMaxEvents> native;
  std::array<PollEvent, kMaxEvents> events;
};

void Poller::StateDeleter::operator()(State* state) const { delete state; }

Poller::Poller() : state_(new State) {
  if (state_->epoll < 0) error_ = {errno, "epoll_create1"};
}

Poller::~Poller() = default;

bool Poller::changesWhileWaiting() { return true; }

int Poller::fd() const { return state_->epoll; }

SystemError Poller::add(int fd, uint64_t token) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = token;
  if (epoll_ctl(state_->epoll, EPOLL_CTL_ADD, fd, &event) != 0) return {errno, "epoll_ctl"};
  state_->tokens[fd] = token;
  return {};
}

SystemError Poller::setWritable(int fd, bool on) {
  const auto found = state_->tokens.find(fd);
  if (found == state_->tokens.end()) return {ENOENT, "epoll_ctl"};
  epoll_event event{};
  event.events = EPOLLIN | (on ? EPOLLOUT : 0u);
  event.data.u64 = found->second;
  const bool done = epoll_ctl(state_->epoll, EPOLL_CTL_MOD, fd, &event) == 0;
  return done ? SystemError() : SystemError{errno, "epoll_ctl"};
}

SystemError Poller::remove(int fd) {
  if (state_->tokens.erase(fd) == 0) return {ENOENT, "epoll_ctl"};
  const bool done = epoll_ctl(state_->epoll, EPOLL_CTL_DEL, fd, nullptr) == 0;
  return done ? SystemError() : SystemError{errno, "epoll_ctl"};
}

std::span<const PollEvent> Poller::wait(int timeoutMs) {
  const int count = epoll_wait(state_->epoll, state_->native.data(), kMaxEvents, timeoutMs);
  if (count <= 0) return {};
  for (int i = 0; i < count; i++) {
    const epoll_event& native = state_->native[i];
    const bool error = (native.events & (EPOLLERR | EPOLLHUP)) != 0;
    state_->events[i] = {native.data.u64, error || (native.events & EPOLLIN) != 0,
                         (native.events & EPOLLOUT) != 0, error};
  }
  return {state_->events.data(), static_cast<size_t>(count)};
}

WakeUp::WakeUp() {
  readFd_ = writeFd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (readFd_ < 0) error_ = {errno, "eventfd"};
}

WakeUp::~WakeUp() {
  if (readFd_ >= 0) ::close(readFd_);
}

void WakeUp::ring() {
  if (rung_.exchange(true)) return;
  const uint64_t one = 1;
  // Cannot block or fail: the counter is 0 or 1. EINTR is not possible on a non-blocking eventfd.
  [[maybe_unused]] const ssize_t written = ::write(writeFd_, &one, sizeof(one));
}

void WakeUp::drain() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t taken = ::read(readFd_, &count, sizeof(count));
  // In this order: a ring() between the two lines is not written, but what it announces was
  // pushed before, and the caller looks at its queues after drain(). The other way round its
  // write could be taken here, with the flag left up forever.
  rung_.exchange(false);
}

}  // namespace mcbn

#endif
