// shortest_record.h: how short an encrypted DTLS 1.2 record may be.
//
// OpenSSL ends the session over a shorter one (internal_error), which anybody can send who knows
// the addresses, instead of dropping it as RFC 6347 section 4.1.2.7 asks.
#pragma once

#include <openssl/objects.h>
#include <openssl/ssl.h>

#include <cstddef>
#include <string_view>

namespace mcbn {

// Bytes of the shortest fragment that the suite can make: never more, and never less than OpenSSL
// needs.
inline size_t shortestRecordOf(const SSL_CIPHER* cipher) {
  constexpr size_t kExplicitNonce = 8, kTag = 16, kShortTag = 8;
  switch (SSL_CIPHER_get_cipher_nid(cipher)) {
    case NID_chacha20_poly1305:
      return kTag;
    case NID_aes_128_gcm:
    case NID_aes_256_gcm:
      return kExplicitNonce + kTag;
    case NID_aes_128_ccm:
    case NID_aes_256_ccm: {
      const bool short_tag = std::string_view(SSL_CIPHER_get_name(cipher)).ends_with("CCM8");
      return kExplicitNonce + (short_tag ? kShortTag : kTag);
    }
    default:
      // CBC: an IV, and two blocks with a MAC of 20 bytes.
      return 48;
  }
}

}  // namespace mcbn
