// handshake_messages.h: the handshake messages of DTLS 1.3 with a pre-shared key, as bytes.
//
//   body --parse...()--> views, or the alert that says what is wrong
//   fields --write...()--> body
//
// Bodies are whole and without a header. Parsing allocates nothing: a ClientHello is parsed before its
// sender has shown that it receives at its address. What is unknown is passed over where RFC 8446
// section 4.2 lets a peer send it (GREASE, RFC 8701), and refused in answers to what we offered.
//
// Ownership   views borrow from the body.
// Thread      any.
// Spec        RFC 8446 sections 4.1 to 4.6, RFC 9147 sections 5.3, 5.4, 7 and 9, RFC 9146 section 3,
//             RFC 9853 section 3
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "record/alert.h"

namespace mcbn::dtls13 {

namespace message_type {
constexpr uint8_t kClientHello = 1;
constexpr uint8_t kServerHello = 2;
constexpr uint8_t kNewSessionTicket = 4;
constexpr uint8_t kEncryptedExtensions = 8;
constexpr uint8_t kRequestConnectionId = 9;
constexpr uint8_t kNewConnectionId = 10;
constexpr uint8_t kCertificate = 11;
constexpr uint8_t kCertificateRequest = 13;
constexpr uint8_t kFinished = 20;
constexpr uint8_t kKeyUpdate = 24;
constexpr uint8_t kMessageHash = 254;
}  // namespace message_type

// ExtensionType.
namespace extension_type {
constexpr uint16_t kServerName = 0;
constexpr uint16_t kSupportedGroups = 10;
constexpr uint16_t kAlpn = 16;
constexpr uint16_t kPreSharedKey = 41;
constexpr uint16_t kSupportedVersions = 43;
constexpr uint16_t kCookie = 44;
constexpr uint16_t kPskKeyExchangeModes = 45;
constexpr uint16_t kKeyShare = 51;
constexpr uint16_t kConnectionId = 54;
constexpr uint16_t kReturnRoutabilityCheck = 61;
}  // namespace extension_type
constexpr uint8_t kHostName = 0;  // NameType (RFC 6066 section 3)

constexpr uint16_t kVersion13 = 0xFEFC;  // in supported_versions
constexpr size_t kRandomBytes = 32;
// SHA-256 of "HelloRetryRequest" (RFC 8446 section 4.1.3).
inline constexpr std::array<uint8_t, kRandomBytes> kRetryRandom = {
    0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91,
    0xC2, 0xA2, 0x11, 0x16, 0x7A, 0xBB, 0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C};
// PskKeyExchangeMode (RFC 8446 section 4.2.9), as bits of what is offered or allowed.
enum PskModes : uint8_t { kPskKe = 1, kPskDheKe = 2 };
// Of one ClientHello, examined and offered. More are passed over.
constexpr size_t kMostOffers = 8;

// The alert that says what is wrong with a message; nullopt: nothing is.
using Fault = std::optional<uint8_t>;

inline ByteView bytesOf(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

struct PskOffer {
  ByteView identity, binder;
};

struct ClientHello {
  ByteView random, session_id, suites;
  ByteView groups, shares;          // lists as they came; empty: not offered
  bool has_shares = false;          // a key_share came, and may be empty
  bool speaks13 = false;            // supported_versions has DTLS 1.3
  bool legacy_cookie_empty = true;  // RFC 9147 section 5.3
  uint8_t modes = 0;                // PskModes
  ByteView cookie;
  std::optional<ByteView> connection_id;
  bool return_routability = false;
  std::string_view servername;  // RFC 6066 section 3; empty: none
  ByteView alpn;                // names as they came (RFC 7301 section 3.1); empty: none
  size_t offer_count = 0;
  std::array<PskOffer, kMostOffers> offers = {};
  size_t before_binders = 0;  // bytes of the body that binders cover (RFC 8446 section 4.2.11.2)

  std::span<const PskOffer> offered() const {
    return std::span(offers).first(offer_count < kMostOffers ? offer_count : kMostOffers);
  }
  bool hasSuite(uint16_t suite) const;
  bool hasGroup(uint16_t group) const;
  bool offersAlpn(std::string_view name) const;
  // Empty: there is none of this group.
  ByteView shareOf(uint16_t group) const;
};

// Whether its extensions are there and well-formed; what this server needs of them, it asks itself.
Fault parseClientHello13(ByteView body, ClientHello& hello);

struct ServerHello {
  ByteView random, session_id;
  bool retry = false;     // it is a HelloRetryRequest (RFC 8446 section 4.1.3)
  bool speaks13 = false;  // selected_version is DTLS 1.3
  // A server that knows DTLS 1.3 was made to believe that the client does not (the same section).
  bool downgraded = false;
  uint16_t suite = 0;
  std::optional<uint16_t> group;  // of key_share; in a HelloRetryRequest what it wants
  ByteView share;
  std::optional<uint16_t> psk;  // the index of the offer that it took
  ByteView cookie;
  std::optional<ByteView> connection_id;
  bool return_routability = false;
};
Fault parseServerHello(ByteView body, ServerHello& hello);

// `named`: we have sent a server name; `alpn`: and these application protocols, of which `chosen` is one
// (RFC 7301 section 3.1), or empty. Everything else that is not supported_groups was not asked for.
Fault parseEncryptedExtensions(ByteView body, bool named, std::span<const std::string> alpn,
                               std::string_view& chosen);
// 0: update_not_requested, 1: update_requested.
Fault parseKeyUpdate(ByteView body, bool& requested);
// Calls `each` for each ID, in order.
template <typename Each>
Fault parseNewConnectionId(ByteView body, bool& immediate, Each&& each) {
  Reader reader(body);
  ByteView list, id;
  uint8_t usage = 0;
  if (!reader.vector16(list) || !reader.u8(usage) || !reader.empty()) return alert::kDecodeError;
  if (usage > 1) return alert::kIllegalParameter;
  immediate = usage == 0;
  for (Reader ids(list); !ids.empty();) {
    if (!ids.vector8(id)) return alert::kDecodeError;
    each(id);
  }
  return std::nullopt;
}

// What a ClientHello is made of. The order of extensions is fixed; pre_shared_key is the last.
struct ClientHelloFields {
  ByteView random;
  std::span<const uint16_t> suites, groups;  // in order of preference
  std::optional<uint16_t> share_group;       // none: an empty key_share, or psk_ke alone
  ByteView share;
  uint8_t modes = kPskDheKe;
  ByteView cookie;
  std::optional<ByteView> connection_id;  // with it the return routability check is offered too
  std::string_view servername;
  std::span<const std::string> alpn;
  // One identity each, in order; binders of `binder` bytes, zeros at first.
  std::span<const ByteView> identities;
  size_t binder = 32;
};
// Returns the bytes before the binders.
size_t writeClientHello(const ClientHelloFields& fields, Bytes& out);

struct ServerHelloFields {
  ByteView random;
  uint16_t suite = 0;
  std::optional<uint16_t> group;
  ByteView share;
  uint16_t psk = 0;
  std::optional<ByteView> connection_id;
  bool return_routability = false;
};
void writeServerHello(const ServerHelloFields& fields, Bytes& out);
// `alpn`: the protocol chosen; empty: none.
void writeEncryptedExtensions(const std::string& alpn, Bytes& out);
void writeNewConnectionId(std::span<const Bytes> ids, bool immediate, Bytes& out);

// A HelloRetryRequest with this cookie, which both sides must make and read alike: the server does not
// keep what it sent. `group` 0: the client's key share will do. Returns its length; `out` has room
// for kMostRetryBytes, and the cookie at most kMostCookieBytes.
constexpr size_t kMostCookieBytes = 96;
constexpr size_t kMostRetryBytes = 2 + kRandomBytes + 1 + 2 + 1 + 2 + 6 + 6 + 6 + kMostCookieBytes;
size_t writeHelloRetryRequest(uint16_t suite, uint16_t group, ByteView cookie, uint8_t* out);

}  // namespace mcbn::dtls13
