// hkdf.h: hash, HMAC and HKDF with the labels of DTLS 1.3.
//
// Every function gives an empty result when OpenSSL refused (it has no memory, or not this hash),
// and when it is handed an empty secret: an empty secret stays empty to the end of the schedule,
// and the caller looks once, at the end.
//
// Ownership   inputs are borrowed; a Secret that is returned is the caller's and wipes itself.
// Thread      any.
// Spec        RFC 5869, RFC 8446 section 7.1, RFC 9147 section 5.9
#pragma once

#include <initializer_list>
#include <string_view>

#include "base/bytes.h"
#include "base/secret.h"
#include "psk/psk.h"

namespace mcbn::dtls13 {

// RFC 9147 section 5.9: without the space that "tls13 " has.
constexpr std::string_view kLabelPrefix = "dtls13";

constexpr size_t kMaxHashBytes = 48;
constexpr size_t hashBytes(PskHash hash) { return hash == PskHash::Sha384 ? 48 : 32; }

// Of the parts in a row.
Bytes digestOf(PskHash hash, std::initializer_list<ByteView> parts);
Secret hmacOf(PskHash hash, ByteView key, std::initializer_list<ByteView> parts);

// HKDF-Extract. An empty salt is HashLen zeros (RFC 5869 section 2.2). The secret may be zeros, but
// not empty.
Secret hkdfExtract(PskHash hash, ByteView salt, ByteView secret);

// HKDF-Expand-Label: 1 to 255 * HashLen bytes. Prefix and label together, and the context, have at
// most 255 bytes each. Another prefix is for tests with TLS's published vectors.
Secret hkdfExpandLabel(PskHash hash, ByteView secret, std::string_view label, ByteView context,
                       size_t length, std::string_view prefix = kLabelPrefix);

// In a time that depends on the lengths alone.
bool equalSecrets(ByteView a, ByteView b);

}  // namespace mcbn::dtls13
