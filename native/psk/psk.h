// psk.h: the words of a pre-shared key negotiation.
//
// An identity is bytes (RFC 4279 section 5.1 calls it UTF-8 text, RFC 8446 section 4.2.11 opaque).
// It is public: it may be logged. A key is a Secret and never leaves one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/secret.h"
#include "record/hash.h"

namespace mcbn {

enum class Transport : uint8_t { Tls, Dtls };
enum class Role : uint8_t { Client, Server };

// The hash a TLS 1.3 PSK is bound to (RFC 8446 section 4.2.11); (D)TLS 1.2 has no such bond.
using PskHash = Hash;

enum class Protocol : uint8_t { Unknown, Tls12, Tls13, Dtls12, Dtls13 };
const char* protocolName(Protocol protocol);

// OpenSSL's limits, which are also ours: PSK_MAX_IDENTITY_LEN and PSK_MAX_PSK_LEN of
// <openssl/ssl.h>. TLS 1.3 itself ends at 65,535 bytes for all extensions of a ClientHello; this
// leaves room for a hybrid key share.
constexpr size_t kMaxIdentityLength = 256;  // (D)TLS 1.2
constexpr size_t kMaxIdentityLength13 = 64'000;
constexpr size_t kMinKeyLength = 16;
constexpr size_t kMaxKeyLength = 512;

using Identity = std::string;  // bytes, NUL included

// Who made a PSK: the peers' operators, or RFC 9258 section 5.1 out of such a one. Its binder says which
// (section 5.2): DTLS 1.3 alone can, since OpenSSL knows external ones only.
enum class PskOrigin : uint8_t { External, Imported };

struct PskEntry {
  Secret key;
  PskHash hash = PskHash::Sha256;
  PskOrigin origin = PskOrigin::External;

  PskEntry clone() const { return {key.clone(), hash, origin}; }
};

// What a held handshake wants to know. A server asks with the client's identity, a client with the
// server's hint.
struct PskQuestion {
  uint32_t number = 0;  // unique within one session; an answer to an older question is ignored
  Protocol protocol = Protocol::Unknown;
  std::optional<std::string> identity;
  std::optional<std::string> hint;
  std::string servername;
};

struct PskAnswer {
  // A server's answer has no entry when the identity is unknown.
  std::optional<PskEntry> entry;
  Identity identity;  // a client's answer names the identity to use
};

}  // namespace mcbn
