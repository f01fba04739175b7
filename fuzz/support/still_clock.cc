#include "still_clock.h"

#include <openssl/rand.h>
#include <sys/time.h>

namespace mcbn {
namespace {

uint64_t wall = 0;
uint64_t state = 0;

// splitmix64
uint64_t next() {
  uint64_t mixed = state += 0x9e3779b97f4a7c15ULL;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
  return mixed ^ (mixed >> 31);
}

int fill(unsigned char* out, int count) {
  for (int i = 0; i < count; ++i) out[i] = static_cast<unsigned char>(next() >> 32);
  return 1;
}

int ready() { return 1; }

}  // namespace

void setWallClock(uint64_t milliseconds) { wall = milliseconds; }

void seedRandomness(uint64_t seed) {
  // Deprecated in favour of providers, of which one for this would be a page.
  static const RAND_METHOD method = {nullptr, fill, nullptr, nullptr, fill, ready};
  static const bool set = RAND_set_rand_method(&method) == 1;
  static_cast<void>(set);
  state = seed;
}

}  // namespace mcbn

// In the program itself it comes before the C library's.
extern "C" int gettimeofday(timeval* __restrict now, void* __restrict) noexcept {
  now->tv_sec = static_cast<time_t>(mcbn::wall / 1'000);
  now->tv_usec = static_cast<suseconds_t>(mcbn::wall % 1'000 * 1'000);
  return 0;
}
