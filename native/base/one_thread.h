// one_thread.h: checks, in the builds that have assert.h's checks, that one thread calls.
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

}  // namespace mcbn
