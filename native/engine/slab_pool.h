// slab_pool.h: where messages are decrypted, lent to JavaScript and used again.
//
//   I/O thread --take()--> Slab, filled --> JavaScript's Buffers --collected--> give()
//
// Fresh memory costs more than decrypting into it: the system clears and maps each page when it is
// first touched. So slabs go round while messages flow, and back to the system when they stop.
//
// Ownership   shared by an event queue and the Buffers that point into slabs: either may go first.
// Thread      any.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <vector>

#include "base/bytes.h"

namespace mcbn {

using Slab = std::unique_ptr<uint8_t[]>;
// As large as the second-level cache of one core holds beside other things.
constexpr size_t kSlabBytes = 256 * 1024;

class SlabPool {
 public:
  using Clock = std::chrono::steady_clock;

  Slab take() {
    const std::lock_guard lock(mutex_);
    taken_ = Clock::now();
    if (free_.empty()) return Slab(new uint8_t[kSlabBytes]);  // not cleared
    Slab slab = std::move(free_.back());
    free_.pop_back();
    return slab;
  }

  void give(Slab slab) {
    const std::lock_guard lock(mutex_);
    if (free_.size() < kMost && !quiet()) free_.push_back(std::move(slab));
  }

  // Gives everything back to the system when nothing was taken for a second. Whether to ask again.
  bool trim() {
    const std::lock_guard lock(mutex_);
    if (quiet()) free_.clear();
    return !quiet();
  }

  size_t free() const {
    const std::lock_guard lock(mutex_);
    return free_.size();
  }

  static constexpr size_t kMost = 256;  // 64 MB

 private:
  bool quiet() const { return Clock::now() - taken_ > std::chrono::seconds(1); }

  mutable std::mutex mutex_;
  std::vector<Slab> free_;
  Clock::time_point taken_;
};

}  // namespace mcbn
