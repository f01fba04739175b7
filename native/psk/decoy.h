// decoy.h: the key that stands in for one that nobody has filed.
//
// A handshake under an unknown identity goes on with it to the same end, in the same time, as with a
// wrong key (RFC 8446 section E.6). Nobody knows it, so it may be the same for all of them: drawn
// once, it costs a known identity's handshake nothing and an unknown one's a copy, as a filed key does.
//
// From any thread.
#pragma once

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <array>
#include <mutex>
#include <optional>

#include "base/secret.h"

namespace mcbn {

// A copy of it; nothing while the system has no randomness.
inline std::optional<Secret> decoyKey() {
  static std::mutex mutex;
  static Secret drawn;
  const std::lock_guard lock(mutex);
  if (drawn.empty()) {
    std::array<uint8_t, 32> random;
    if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) return std::nullopt;
    drawn = Secret(random);
    OPENSSL_cleanse(random.data(), random.size());
  }
  return drawn.clone();
}

}  // namespace mcbn
