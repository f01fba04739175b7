// poller.h: waits for sockets and for other threads.
//
//   poller.add(socket.fd(), token); poller.add(wakeUp.fd(), other)
//   loop: for event in poller.wait(milliseconds until the next deadline) ...
//
// One file a platform: poller_linux.cc (epoll), poller_posix.cc (poll). Level-triggered on both:
// what was not read shows again.
//
// Thread   a Poller belongs to one thread. WakeUp::ring() may be called from any.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "datagram/system_error.h"

namespace mcbn {

struct PollEvent {
  uint64_t token = 0;
  bool readable = false;  // also set with `error`: the next read tells the error
  bool writable = false;
  bool error = false;
};

class Poller {
 public:
  Poller();
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // Must be asked once after construction: descriptors can run out.
  SystemError error() const { return error_; }

  // Whether the following three may be called while another thread is in wait(). One thread at a
  // time in any case.
  static bool changesWhileWaiting();
  // Watches `fd` for reading. A descriptor is removed before it is closed.
  SystemError add(int fd, uint64_t token);
  // Whether to watch for writing as well.
  SystemError setWritable(int fd, bool on);
  SystemError remove(int fd);

  // A descriptor that is readable while something waits here, for another poller to watch; -1: the
  // platform has none.
  int fd() const;

  // Waits at most `timeoutMs` milliseconds; -1: until something happens; 0: only looks. The events
  // are valid until the next call. Empty after the time, and early when a signal came.
  std::span<const PollEvent> wait(int timeoutMs);

 private:
  struct State;  // the platform's
  struct StateDeleter {
    void operator()(State* state) const;
  };

  SystemError error_;
  std::unique_ptr<State, StateDeleter> state_;
};

// Wakes a Poller from another thread. ring() costs one atomic operation while the last one is not
// yet drained, so producers ring after every push; the woken thread calls drain() first and
// looks at its queues afterwards.
class WakeUp {
 public:
  WakeUp();
  ~WakeUp();
  WakeUp(const WakeUp&) = delete;
  WakeUp& operator=(const WakeUp&) = delete;

  SystemError error() const { return error_; }
  int fd() const { return readFd_; }

  void ring();
  void drain();

 private:
  SystemError error_;
  int readFd_ = -1;
  int writeFd_ = -1;  // the same as readFd_ with eventfd
  std::atomic<bool> rung_ = false;
};

}  // namespace mcbn
