// one_thread.h: checks, in the builds that have assert.h's checks, that the right thread calls.
#pragma once

#include "base/assert.h"

#ifdef MCBN_ASSERTS
#include <atomic>
#include <thread>
#endif

namespace mcbn {

// A member of what only one thread may call. The first call decides which; empty in users' builds.
class OneThread {
 public:
#ifdef MCBN_ASSERTS
  void check() const {
    std::thread::id first;
    const std::thread::id caller = std::this_thread::get_id();
    const bool is_first = caller_.compare_exchange_strong(first, caller);
    MCBN_ASSERT(is_first || first == caller);
  }

 private:
  mutable std::atomic<std::thread::id> caller_;
#else
  void check() const {}
#endif
};

// Beside a mutex: which thread has it, for what may be called by that one alone. take() follows each lock, give() comes
// before each unlock; empty in users' builds.
class HoldingThread {
 public:
#ifdef MCBN_ASSERTS
  void take() {
    MCBN_ASSERT(holder_ == std::thread::id());
    holder_ = std::this_thread::get_id();
  }
  void give() {
    check();
    holder_ = std::thread::id();
  }
  void check() const { MCBN_ASSERT(holder_ == std::this_thread::get_id()); }

 private:
  std::atomic<std::thread::id> holder_;
#else
  void take() {}
  void give() {}
  void check() const {}
#endif
};

// take() now, give() at the end of the block: declared behind the lock.
class Holding {
 public:
  explicit Holding(HoldingThread& holder) : holder_(holder) { holder_.take(); }
  ~Holding() { holder_.give(); }
  Holding(const Holding&) = delete;
  Holding& operator=(const Holding&) = delete;

 private:
  HoldingThread& holder_;
};

}  // namespace mcbn
