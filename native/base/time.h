// time.h: time as the sessions see it. The caller reads the clock and hands the number in.
#pragma once

#include <cstdint>

namespace mcbn {

// Of a monotonic clock, or between two of its readings.
using Milliseconds = uint64_t;
// Later than everything: a deadline that is not set.
constexpr Milliseconds kNever = UINT64_MAX;

// `time` after `now`, without a way past kNever.
constexpr Milliseconds later(Milliseconds now, Milliseconds time) {
  return time > kNever - now ? kNever : now + time;
}

}  // namespace mcbn
