// imported_psk.h: one external PSK made into a key for DTLS 1.3 and one hash, so that the same
// secret never serves two protocols. The bytes are those of src/psk/importer.ts.
//
// Spec   RFC 9258 section 5.1; the binder's label is PskOrigin::Imported
#pragma once

#include <optional>

#include "dtls13/hkdf.h"

namespace mcbn::dtls13 {

constexpr uint16_t kDtls13Version = 0xFEFC;

struct ExternalPsk {
  ByteView key;                    // epsk; borrowed
  ByteView identity;               // external_identity: 1 to 65,535 bytes
  ByteView context;                // 0 to 65,535 bytes
  PskHash hash = PskHash::Sha256;  // belongs to the external PSK, not to the suites
};

struct ImportedPsk {
  Bytes identity;  // the serialized ImportedIdentity: what goes on the wire
  Secret key;      // ipskx, HashLen of the target's hash
};

// The protocol that a key is imported for: its version number and label prefix. DTLS 1.3, except in
// tests with TLS's published vectors.
struct ImportTarget {
  PskHash kdf;
  uint16_t protocol = kDtls13Version;
  std::string_view prefix = kLabelPrefix;
};

// nullopt: an empty key or identity, an ImportedIdentity of more than 65,535 bytes, or OpenSSL refused.
std::optional<ImportedPsk> importPsk(const ExternalPsk& external, const ImportTarget& target);

}  // namespace mcbn::dtls13
