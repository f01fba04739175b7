// psk_messages.h: the few fields of PSK handshakes that must be known before OpenSSL asks for a
// key.
//
// OpenSSL hands the server an identity cut at its first NUL (TLS 1.2, DTLS 1.2); these functions
// give the bytes as they were sent. All views borrow from the argument.
// Spec: RFC 4279 sections 2 to 4, RFC 5489 section 2, RFC 8446 section 4.2, RFC 6066 section 3.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"

namespace mcbn {

// What OpenSSL takes at most (PSK_MAX_IDENTITY_LEN), for identities and for hints. It answers
// longer ones with an alert, without asking for a key.
constexpr size_t kMaxPskIdentityBytes = 256;

// psk_identity of a ClientKeyExchange body (without its handshake header): it comes first in PSK,
// DHE_PSK, ECDHE_PSK and RSA_PSK. May be empty; NUL bytes are kept. nullopt: malformed, or longer
// than kMaxPskIdentityBytes.
std::optional<ByteView> pskIdentityOf(ByteView clientKeyExchangeBody);

// psk_identity_hint of a ServerKeyExchange body: first in PSK, DHE_PSK, ECDHE_PSK and RSA_PSK.
// Empty means that the server gives no hint. nullopt: malformed, or too long.
std::optional<ByteView> pskHintOf(ByteView serverKeyExchangeBody);

struct OfferedPsk {
  ByteView identity;                 // 1 to 65535 bytes
  uint32_t obfuscatedTicketAge = 0;  // 0 from an external PSK (RFC 8446 section 4.2.11)
  size_t binderLength = 0;  // 32 (SHA-256) or 48 (SHA-384): the hash the client binds it to
};

// The ClientHello form of pre_shared_key: extension_data without type and length. Replaces what
// `out` holds by the first `max` offers, in the client's order; the rest is checked, not kept.
// Returns how many there are. nullopt, and `out` empty, when malformed, also when identities and
// binders differ in number.
std::optional<size_t> parseOfferedPsks(ByteView preSharedKeyExtensionData,
                                       std::vector<OfferedPsk>& out, size_t max);

// The host_name of a ClientHello's server_name: 1 to 255 printable ASCII bytes. nullopt: malformed,
// or another kind of name.
std::optional<std::string> hostNameOf(ByteView serverNameExtensionData);

// Whether a ClientHello's supported_versions names `version` (0x0304: TLS 1.3). Malformed: false.
bool offersVersion(ByteView supportedVersionsExtensionData, uint16_t version);

}  // namespace mcbn
