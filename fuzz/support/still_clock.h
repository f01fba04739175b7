// still_clock.h: time as a number, for OpenSSL too, which times DTLS by gettimeofday(); and
// randomness that is the same in every run.
#pragma once

#include <cstdint>

namespace mcbn {

// Milliseconds that gettimeofday() tells from now on.
void setWallClock(uint64_t milliseconds);
// OpenSSL draws from a generator that begins with `seed` from now on. It protects nothing.
void seedRandomness(uint64_t seed);

}  // namespace mcbn
