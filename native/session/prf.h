// prf.h: the PRF of TLS 1.2. EVP has it as "TLS1-PRF", which looks HMAC and digest up by their names for
// every call; record/hash.h does not.
//
// Ownership   keeps nothing of a call; what it has computed with is wiped.
// Thread      any.
// Spec        RFC 5246 section 5
#pragma once

#include <span>

#include "base/bytes.h"
#include "psk/psk.h"

namespace mcbn {

// Fills `out` with PRF(secret, seed), where the parts of `seed` in a row are label and seed. False, and
// nothing of it may be used: there is no secret, or OpenSSL has no memory.
bool tls12Prf(PskHash hash, ByteView secret, std::span<const ByteView> seed,
              std::span<uint8_t> out);

}  // namespace mcbn
