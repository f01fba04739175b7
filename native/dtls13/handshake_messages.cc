#include "dtls13/handshake_messages.h"

#include <algorithm>

#include "record/downgrade.h"
#include "record/dtls_record.h"

namespace mcbn::dtls13 {
namespace {

constexpr size_t kMostExtensions = 64;
// Each is compared with those before it, for hellos of anybody: all that fit into one would take half a millisecond.
constexpr size_t kMostShares = 32;

bool holds16(ByteView list, uint16_t value) {
  uint16_t found = 0;
  for (Reader reader(list); reader.u16(found);) {
    if (found == value) return true;
  }
  return false;
}

// RFC 8446 section 6.2.
Fault decodeErrorUnless(bool readable) { return readable ? Fault() : alert::kDecodeError; }

// A list of numbers of two bytes, at least one of them.
bool isList16(ByteView list) { return !list.empty() && list.size() % 2 == 0; }

// Whether `data` is one vector with a length of `width` bytes.
bool only8(ByteView data, ByteView& out) {
  Reader reader(data);
  return reader.vector8(out) && reader.empty();
}
bool only16(ByteView data, ByteView& out) {
  Reader reader(data);
  return reader.vector16(out) && reader.empty();
}

// Calls `take` for each extension of a block that must end `reader`. RFC 8446 section 4.2: no type
// comes twice.
template <typename Take>
Fault eachExtension(Reader& reader, Take&& take) {
  ByteView block;
  if (!reader.vector16(block) || !reader.empty()) return alert::kDecodeError;
  std::array<uint16_t, kMostExtensions> types;
  size_t count = 0;
  for (Reader list(block); !list.empty();) {
    uint16_t type = 0;
    ByteView data;
    if (!list.u16(type) || !list.vector16(data) || count == types.size()) {
      return alert::kDecodeError;
    }
    const auto end = types.begin() + static_cast<ptrdiff_t>(count);
    if (std::find(types.begin(), end, type) != end) return alert::kIllegalParameter;
    types[count++] = type;
    if (const Fault fault = take(type, data, list.empty())) return fault;
  }
  return std::nullopt;
}

Fault takeServerName(ByteView data, std::string_view& name) {
  ByteView list, value;
  uint8_t type = 0;
  if (!only16(data, list) || list.empty()) return alert::kDecodeError;
  for (Reader reader(list); !reader.empty();) {
    if (!reader.u8(type) || !reader.vector16(value) || value.empty()) return alert::kDecodeError;
    if (type == kHostName) name = {reinterpret_cast<const char*>(value.data()), value.size()};
  }
  return std::nullopt;
}

// RFC 7301 section 3.1: names, none of them empty, and at least one.
Fault takeNames(ByteView data, ByteView& names) {
  ByteView name;
  if (!only16(data, names) || names.empty()) return alert::kDecodeError;
  for (Reader reader(names); !reader.empty();) {
    if (!reader.vector8(name) || name.empty()) return alert::kDecodeError;
  }
  return std::nullopt;
}

Fault takeModes(ByteView data, uint8_t& modes) {
  ByteView list;
  if (!only8(data, list) || list.empty()) return alert::kDecodeError;
  for (const uint8_t mode : list) {
    if (mode <= 1) modes |= static_cast<uint8_t>(1 << mode);
  }
  return std::nullopt;
}

// Each entry is well-formed, and no group has two (RFC 8446 section 4.2.8).
Fault takeShares(ByteView data, ByteView& shares) {
  if (!only16(data, shares)) return alert::kDecodeError;
  std::array<uint16_t, kMostShares> groups;
  size_t count = 0;
  for (Reader reader(shares); !reader.empty();) {
    uint16_t group = 0;
    ByteView share;
    if (!reader.u16(group) || !reader.vector16(share) || share.empty() || count == groups.size()) {
      return alert::kDecodeError;
    }
    const auto end = groups.begin() + static_cast<ptrdiff_t>(count);
    if (std::find(groups.begin(), end, group) != end) return alert::kIllegalParameter;
    groups[count++] = group;
  }
  return std::nullopt;
}

Fault takeOffers(ByteView data, ByteView body, ClientHello& hello) {
  Reader reader(data);
  ByteView identities, binders;
  if (!reader.vector16(identities)) return alert::kDecodeError;
  hello.before_binders = static_cast<size_t>(reader.rest().data() - body.data());
  if (!reader.vector16(binders) || !reader.empty()) return alert::kDecodeError;
  Reader of_binders(binders);
  uint32_t age = 0;
  for (Reader of_identities(identities); !of_identities.empty(); hello.offer_count += 1) {
    PskOffer offer;
    if (!of_identities.vector16(offer.identity) || !of_identities.u32(age) ||
        offer.identity.empty()) {
      return alert::kDecodeError;
    }
    // As many binders as identities, or it is refused (RFC 8446 section 4.2.11).
    if (of_binders.empty()) return alert::kIllegalParameter;
    if (!of_binders.vector8(offer.binder) || offer.binder.size() < 32) return alert::kDecodeError;
    if (hello.offer_count < kMostOffers) hello.offers[hello.offer_count] = offer;
  }
  if (hello.offer_count == 0) return alert::kDecodeError;
  if (!of_binders.empty()) return alert::kIllegalParameter;
  return std::nullopt;
}

}  // namespace

bool ClientHello::hasSuite(uint16_t suite) const { return holds16(suites, suite); }
bool ClientHello::hasGroup(uint16_t group) const { return holds16(groups, group); }

bool ClientHello::offersAlpn(std::string_view wanted) const {
  ByteView name;
  for (Reader reader(alpn); reader.vector8(name);) {
    if (std::ranges::equal(name, bytesOf(wanted))) return true;
  }
  return false;
}

ByteView ClientHello::shareOf(uint16_t wanted) const {
  uint16_t group = 0;
  ByteView share;
  for (Reader reader(shares); reader.u16(group) && reader.vector16(share);) {
    if (group == wanted) return share;
  }
  return {};
}

Fault parseClientHello13(ByteView body, ClientHello& hello) {
  Reader reader(body);
  uint16_t version = 0;
  ByteView legacy_cookie, compressions;
  if (!reader.u16(version) || !reader.take(kRandomBytes, hello.random) ||
      !reader.vector8(hello.session_id) || !reader.vector8(legacy_cookie) ||
      !reader.vector16(hello.suites) || !reader.vector8(compressions)) {
    return alert::kDecodeError;
  }
  if (version >> 8 != 0xFE || hello.session_id.size() > 32 || !isList16(hello.suites)) {
    return alert::kDecodeError;
  }
  hello.legacy_cookie_empty = legacy_cookie.empty();
  if (reader.empty()) return std::nullopt;  // before RFC 5246 section 7.4.1.2: no DTLS 1.3
  const Fault fault = eachExtension(reader, [&](uint16_t type, ByteView data, bool last) -> Fault {
    ByteView list;
    switch (type) {
      case extension_type::kServerName:
        return takeServerName(data, hello.servername);
      case extension_type::kSupportedGroups:
        return decodeErrorUnless(only16(data, hello.groups) && isList16(hello.groups));
      case extension_type::kAlpn:
        return takeNames(data, hello.alpn);
      case extension_type::kSupportedVersions:
        if (!only8(data, list) || !isList16(list)) return alert::kDecodeError;
        hello.speaks13 = holds16(list, kVersion13);
        return std::nullopt;
      case extension_type::kCookie:
        return decodeErrorUnless(only16(data, hello.cookie) && !hello.cookie.empty());
      case extension_type::kPskKeyExchangeModes:
        return takeModes(data, hello.modes);
      case extension_type::kKeyShare:
        hello.has_shares = true;
        return takeShares(data, hello.shares);
      case extension_type::kConnectionId:
        if (!only8(data, list)) return alert::kDecodeError;
        hello.connection_id = list;
        return std::nullopt;
      case extension_type::kReturnRoutabilityCheck:
        hello.return_routability = true;
        return decodeErrorUnless(data.empty());
      case extension_type::kPreSharedKey:
        // RFC 8446 section 4.2.11: binders cover all that is before them.
        return last ? takeOffers(data, body, hello) : alert::kIllegalParameter;
      default:
        return std::nullopt;
    }
  });
  if (fault || !hello.speaks13) return fault;
  // RFC 8446 section 4.1.2: exactly "null".
  if (compressions.size() != 1 || compressions[0] != 0) return alert::kIllegalParameter;
  // RFC 8446 sections 9.2 and 4.2.9: they come together.
  if (hello.has_shares != !hello.groups.empty() && hello.modes & kPskDheKe) {
    return alert::kMissingExtension;
  }
  if (hello.offer_count > 0 && hello.modes == 0) return alert::kMissingExtension;
  return std::nullopt;
}

Fault parseServerHello(ByteView body, ServerHello& hello) {
  Reader reader(body);
  uint16_t version = 0;
  uint8_t compression = 0;
  bool unasked = false;
  if (!reader.u16(version) || !reader.take(kRandomBytes, hello.random) ||
      !reader.vector8(hello.session_id) || !reader.u16(hello.suite) || !reader.u8(compression) ||
      hello.session_id.size() > 32) {
    return alert::kDecodeError;
  }
  hello.retry = std::equal(kRetryRandom.begin(), kRetryRandom.end(), hello.random.begin());
  hello.downgraded = marksDowngrade(hello.random);
  // As an older version answers; its extensions are none of ours.
  if (reader.empty()) return std::nullopt;
  const Fault fault = eachExtension(reader, [&](uint16_t type, ByteView data, bool) -> Fault {
    Reader field(data);
    uint16_t value = 0;
    ByteView bytes;
    switch (type) {
      case extension_type::kSupportedVersions:
        if (!field.u16(value) || !field.empty()) return alert::kDecodeError;
        // RFC 8446 section 4.2.1: an older version is not selected this way.
        if (value != kVersion13) return alert::kIllegalParameter;
        hello.speaks13 = true;
        return std::nullopt;
      case extension_type::kKeyShare:
        if (!field.u16(value)) return alert::kDecodeError;
        if (!hello.retry && (!field.vector16(hello.share) || hello.share.empty())) {
          return alert::kDecodeError;
        }
        hello.group = value;
        return decodeErrorUnless(field.empty());
      case extension_type::kPreSharedKey:
        if (hello.retry) return alert::kIllegalParameter;
        if (!field.u16(value) || !field.empty()) return alert::kDecodeError;
        hello.psk = value;
        return std::nullopt;
      case extension_type::kCookie:
        if (!hello.retry) return alert::kIllegalParameter;
        return decodeErrorUnless(only16(data, hello.cookie) && !hello.cookie.empty());
      case extension_type::kConnectionId:
        if (!only8(data, bytes)) return alert::kDecodeError;
        if (hello.retry) return alert::kIllegalParameter;
        hello.connection_id = bytes;
        return std::nullopt;
      case extension_type::kReturnRoutabilityCheck:
        if (hello.retry) return alert::kIllegalParameter;
        hello.return_routability = true;
        return decodeErrorUnless(data.empty());
      default:
        unasked = true;  // or of an older version
        return std::nullopt;
    }
  });
  if (fault || !hello.speaks13) return fault;
  if (unasked) return alert::kUnsupportedExtension;
  if (version != kDtls12 || compression != 0) return alert::kIllegalParameter;
  // RFC 9147 section 5: the session ID is not echoed.
  if (!hello.session_id.empty()) return alert::kIllegalParameter;
  return std::nullopt;
}

Fault parseEncryptedExtensions(ByteView body, bool named, std::span<const std::string> alpn,
                               std::string_view& chosen) {
  Reader reader(body);
  return eachExtension(reader, [&](uint16_t type, ByteView data, bool) -> Fault {
    if (type == extension_type::kSupportedGroups) return std::nullopt;
    if (type == extension_type::kAlpn && !alpn.empty()) {
      ByteView names, name;
      if (const Fault fault = takeNames(data, names)) return fault;
      Reader list(names);
      if (!list.vector8(name) || !list.empty()) return alert::kDecodeError;
      chosen = {reinterpret_cast<const char*>(name.data()), name.size()};
      const bool offered = std::ranges::find(alpn, chosen) != alpn.end();
      return offered ? Fault() : alert::kIllegalParameter;
    }
    // RFC 8446 section 4.2: nobody answers what was not asked.
    if (type != extension_type::kServerName || !named) return alert::kUnsupportedExtension;
    return decodeErrorUnless(data.empty());
  });
}

Fault parseKeyUpdate(ByteView body, bool& requested) {
  if (body.size() != 1) return alert::kDecodeError;
  if (body[0] > 1) return alert::kIllegalParameter;
  requested = body[0] == 1;
  return std::nullopt;
}

}  // namespace mcbn::dtls13
