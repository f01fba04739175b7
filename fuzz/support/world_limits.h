// world_limits.h: how large a World may become, and how it fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#define REQUIRE_THAT(condition)                                            \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                        \
    }                                                                      \
  } while (false)

namespace mcbn {

constexpr uint32_t kServer = 1;
constexpr uint32_t kFirstClient = 2;
constexpr size_t kMostClients = 12;
constexpr size_t kHistory = 64;
constexpr size_t kSteps = 400;
constexpr size_t kMostHandshakes = 6;
constexpr size_t kMostSessions = 8;

}  // namespace mcbn
