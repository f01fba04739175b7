// clock.h: the clocks, for those who hand the time in (time.h).
#pragma once

#include <chrono>

#include "base/time.h"

namespace mcbn {

// Of this machine, from any beginning; never goes back.
inline Milliseconds monotonicMilliseconds() {
  using std::chrono::steady_clock;
  return static_cast<Milliseconds>(
      std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now().time_since_epoch())
          .count());
}

// The time of day, which machines share: since 1970.
inline uint64_t wallMilliseconds() {
  using std::chrono::system_clock;
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(system_clock::now().time_since_epoch())
          .count());
}

inline uint64_t wallSeconds() { return wallMilliseconds() / 1'000; }

}  // namespace mcbn
