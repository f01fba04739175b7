// Every other POSIX system: poll and a pipe.
#if !defined(__linux__) || defined(MCBN_PORTABLE)

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "datagram/poller.h"

namespace mcbn {

// An endpoint watches two or three descriptors, so a list is quick enough.
struct Poller::State {
  auto find(int fd) {
    return std::find_if(watched.begin(), watched.end(),
                        [fd](const pollfd& entry) { return entry.fd == fd; });
  }

  std::vector<pollfd> watched;
  std::vector<uint64_t> tokens;  // in the order of `watched`
  std::vector<PollEvent> events;
};

void Poller::StateDeleter::operator()(State* state) const { delete state; }

Poller::Poller() : state_(new State) {}

Poller::~Poller() = default;

bool Poller::changesWhileWaiting() { return false; }

int Poller::fd() const { return -1; }

SystemError Poller::add(int fd, uint64_t token) {
  if (fcntl(fd, F_GETFD) < 0) return {errno, "poll"};
  if (state_->find(fd) != state_->watched.end()) return {EEXIST, "poll"};
  state_->watched.push_back({fd, POLLIN, 0});
  state_->tokens.push_back(token);
  return {};
}

SystemError Poller::setWritable(int fd, bool on) {
  const auto entry = state_->find(fd);
  if (entry == state_->watched.end()) return {ENOENT, "poll"};
  entry->events = static_cast<short>(POLLIN | (on ? POLLOUT : 0));
  return {};
}

SystemError Poller::remove(int fd) {
  const auto entry = state_->find(fd);
  if (entry == state_->watched.end()) return {ENOENT, "poll"};
  state_->tokens.erase(state_->tokens.begin() + (entry - state_->watched.begin()));
  state_->watched.erase(entry);
  return {};
}

std::span<const PollEvent> Poller::wait(int timeoutMs) {
  state_->events.clear();
  const auto count = static_cast<nfds_t>(state_->watched.size());
  if (::poll(state_->watched.data(), count, timeoutMs) <= 0) return {};
  for (size_t i = 0; i < state_->watched.size(); i++) {
    const short seen = state_->watched[i].revents;
    if (seen == 0) continue;
    const bool error = (seen & (POLLERR | POLLHUP | POLLNVAL)) != 0;
    state_->events.push_back(
        {state_->tokens[i], error || (seen & POLLIN) != 0, (seen & POLLOUT) != 0, error});
  }
  return state_->events;
}

WakeUp::WakeUp() {
  int ends[2];
  if (::pipe(ends) != 0) {
    error_ = {errno, "pipe"};
    return;
  }
  readFd_ = ends[0];
  writeFd_ = ends[1];
  for (const int fd : ends) {
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
      error_ = {errno, "fcntl"};
    }
  }
}

WakeUp::~WakeUp() {
  if (readFd_ >= 0) ::close(readFd_);
  if (writeFd_ >= 0) ::close(writeFd_);
}

void WakeUp::ring() {
  if (rung_.exchange(true)) return;
  const uint8_t one = 1;
  // At most one byte is ever in the pipe, so it has room. A signal may come before it is written.
  while (::write(writeFd_, &one, 1) < 0 && errno == EINTR) {
  }
}

void WakeUp::drain() {
  uint8_t bytes[8];
  while (::read(readFd_, bytes, sizeof(bytes)) < 0 && errno == EINTR) {
  }
  // In this order: a ring() between the two lines is not written, but what it announces was
  // pushed before, and the caller looks at its queues after drain(). The other way round its
  // write could be taken here, with the flag left up forever.
  rung_.exchange(false);
}

}  // namespace mcbn

#endif
