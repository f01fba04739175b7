// failing_openssl.h: has an allocation of OpenSSL's fail. For a program by itself, since OpenSSL's allocator is chosen
// before its first use: takeAllocations() comes first in main().
#pragma once

#include <openssl/crypto.h>

#include <cstdlib>

namespace mcbn {

inline long countdown = -1;  // allocations until one fails; negative: none
inline bool failed = false;

inline bool failsNow() {
  if (countdown < 0 || countdown-- > 0) return false;
  failed = true;
  return true;
}

// False: OpenSSL has allocated already.
inline bool takeAllocations() {
  return CRYPTO_set_mem_functions(
             [](size_t size, const char*, int) { return failsNow() ? nullptr : std::malloc(size); },
             [](void* old, size_t size, const char*, int) {
               return failsNow() ? nullptr : std::realloc(old, size);
             },
             [](void* memory, const char*, int) { std::free(memory); }) == 1;
}

}  // namespace mcbn
