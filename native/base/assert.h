// assert.h: preconditions that hold unless a caller is wrong. What a peer sends never decides one.
//
// On in the builds that native/CMakeLists.txt makes for tests, sanitizers and fuzzers, where a
// violation ends the process. Users' builds do not evaluate the condition.
#pragma once

#include <cstdio>
#include <cstdlib>

#ifdef MCBN_ASSERTS
#define MCBN_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : ::mcbn::assertionFailed(#condition, __FILE__, __LINE__))
#else
#define MCBN_ASSERT(condition) static_cast<void>(sizeof((condition) ? 1 : 0))
#endif

namespace mcbn {

[[noreturn]] inline void assertionFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: the precondition does not hold: %s\n", file, line, condition);
  std::abort();
}

}  // namespace mcbn
