// hkdf.h: HKDF with the labels of DTLS 1.3, on the HMAC of record/hash.h.
//
// Every function gives an empty result when OpenSSL refused (it has no memory, or not this hash),
// and when it is handed an empty secret: an empty secret stays empty to the end of the schedule,
// and the caller looks once, at the end.
//
// Ownership   inputs are borrowed; a Secret that is returned is the caller's and wipes itself.
// Thread      any.
// Spec        RFC 5869, RFC 8446 section 7.1, RFC 9147 section 5.9
#pragma once

#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/secret.h"
#include "psk/psk.h"

namespace mcbn::dtls13 {

// RFC 9147 section 5.9: without the space that "tls13 " has.
constexpr std::string_view kLabelPrefix = "dtls13";

// HKDF-Extract. An empty salt is HashLen zeros (RFC 5869 section 2.2). The secret may be zeros, but
// not empty.
Secret hkdfExtract(PskHash hash, ByteView salt, ByteView secret);

// HKDF-Expand-Label: 1 to 255 * HashLen bytes. Prefix and label together, and the context, have at
// most 255 bytes each. Another prefix is for tests with TLS's published vectors.
Secret hkdfExpandLabel(PskHash hash, ByteView secret, std::string_view label, ByteView context,
                       size_t length, std::string_view prefix = kLabelPrefix);

// The same for several values out of one secret, whose HMAC is made ready once.
class Expander {
 public:
  Expander(PskHash hash, ByteView secret, std::string_view prefix = kLabelPrefix);

  bool empty() const { return !mac_; }
  Secret expand(std::string_view label, ByteView context, size_t length) const;
  // Derive-Secret (RFC 8446 section 7.1), its messages already hashed; without a hash there is no secret.
  Secret derive(std::string_view label, ByteView transcript_hash) const {
    return transcript_hash.empty() ? Secret() : expand(label, transcript_hash, hashBytes(hash_));
  }

 private:
  PskHash hash_;
  std::string_view prefix_;
  std::optional<Hmac> mac_;  // nullopt: the secret is empty
};

// In a time that depends on the lengths alone.
bool equalSecrets(ByteView a, ByteView b);

}  // namespace mcbn::dtls13
