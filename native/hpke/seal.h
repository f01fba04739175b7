// seal.h: HPKE (RFC 9180) as mcbn/1 seals shares: base mode, one message for each key.
// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. src/consent/base/hpke.ts has the other side.
//
// Ownership   everything is borrowed for the call; what was secret on the way is wiped.
// Thread      any; no state. The calling thread pays: two multiplications on Curve25519.
// Spec        RFC 9180 sections 4.1, 5.1, 5.2 and 5.3
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"

namespace mcbn {

constexpr size_t kHpkeKeyBytes = 32;
constexpr size_t kHpkeTagBytes = 16;
constexpr size_t kHpkeExportBytes = 32;

struct HpkeMessage {
  ByteView public_key;  // the receiver's; whether it is canonical is for the caller to look at
  ByteView plaintext;
  ByteView info;
  ByteView aad;
  std::vector<std::string> exports;  // exporter contexts
};

// What hpkeSeal writes: the encapsulated key, the ciphertext with its tag, a secret for each export.
size_t hpkeSealedBytes(const HpkeMessage& message);

// False: `out` has another size, the key is none (wrong length, of low order), or OpenSSL refused;
// `out` is zero then.
[[nodiscard]] bool hpkeSeal(const HpkeMessage& message, MutableBytes out);

}  // namespace mcbn
