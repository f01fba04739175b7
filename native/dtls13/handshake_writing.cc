// Handshake messages as bytes: those of handshake_messages.h that are written.
#include <algorithm>

#include "dtls13/handshake_messages.h"
#include "record/dtls_record.h"

namespace mcbn::dtls13 {
namespace {

template <typename Fill>
void vector16(Bytes& out, Fill&& fill) {
  const size_t at = out.size();
  Writer(out).u16(0);
  fill();
  putBigEndian(out.data() + at, out.size() - at - 2, 2);
}

template <typename Fill>
void writeExtension(Bytes& out, uint16_t type, Fill&& fill) {
  Writer(out).u16(type);
  vector16(out, fill);
}

// RFC 9853 section 3: the check is of no use without an ID, and is offered with each.
void writeConnectionId(Bytes& out, const std::optional<ByteView>& id, bool check) {
  if (id) {
    writeExtension(out, extension_type::kConnectionId,
                   [&] { Writer(out).u8(id->size()).bytes(*id); });
  }
  if (check) writeExtension(out, extension_type::kReturnRoutabilityCheck, [] {});
}

void writeAlpn(Bytes& out, std::span<const std::string> names) {
  if (names.empty()) return;
  writeExtension(out, extension_type::kAlpn, [&] {
    vector16(out, [&] {
      for (const std::string& name : names) Writer(out).u8(name.size()).bytes(bytesOf(name));
    });
  });
}

void writeList16(Bytes& out, std::span<const uint16_t> list) {
  for (const uint16_t value : list) Writer(out).u16(value);
}

void writeShare(Bytes& out, uint16_t group, ByteView share) {
  Writer(out).u16(group).u16(share.size()).bytes(share);
}

}  // namespace

size_t writeClientHello(const ClientHelloFields& fields, Bytes& out) {
  MCBN_ASSERT(out.empty() && fields.random.size() == kRandomBytes && !fields.identities.empty());
  size_t before_binders = 0;
  Writer(out).u16(kDtls12).bytes(fields.random).u8(0).u8(0);  // no session ID, no legacy_cookie
  vector16(out, [&] { writeList16(out, fields.suites); });
  Writer(out).u8(1).u8(0);
  vector16(out, [&] {
    writeExtension(out, extension_type::kSupportedVersions,
                   [&] { Writer(out).u8(2).u16(kVersion13); });
    if (!fields.servername.empty()) {
      writeExtension(out, extension_type::kServerName, [&] {
        vector16(out, [&] {
          Writer(out).u8(kHostName).u16(fields.servername.size()).bytes(bytesOf(fields.servername));
        });
      });
    }
    writeAlpn(out, fields.alpn);
    if (!fields.cookie.empty()) {
      writeExtension(out, extension_type::kCookie,
                     [&] { Writer(out).u16(fields.cookie.size()).bytes(fields.cookie); });
    }
    if (fields.modes & kPskDheKe) {
      writeExtension(out, extension_type::kSupportedGroups,
                     [&] { vector16(out, [&] { writeList16(out, fields.groups); }); });
      writeExtension(out, extension_type::kKeyShare, [&] {
        vector16(out, [&] {
          if (fields.share_group) writeShare(out, *fields.share_group, fields.share);
        });
      });
    }
    writeConnectionId(out, fields.connection_id, fields.connection_id.has_value());
    writeExtension(out, extension_type::kPskKeyExchangeModes, [&] {
      Bytes modes;
      if (fields.modes & kPskDheKe) modes.push_back(1);
      if (fields.modes & kPskKe) modes.push_back(0);
      Writer(out).u8(modes.size()).bytes(modes);
    });
    writeExtension(out, extension_type::kPreSharedKey, [&] {
      vector16(out, [&] {
        // RFC 8446 section 4.2.11: obfuscated_ticket_age is 0 for an external key.
        for (const ByteView id : fields.identities) Writer(out).u16(id.size()).bytes(id).u32(0);
      });
      before_binders = out.size();
      vector16(out, [&] {
        for (size_t i = 0; i < fields.identities.size(); ++i) {
          Writer(out).u8(fields.binder);
          out.resize(out.size() + fields.binder);
        }
      });
    });
  });
  return before_binders;
}

void writeServerHello(const ServerHelloFields& fields, Bytes& out) {
  Writer(out).u16(kDtls12).bytes(fields.random).u8(0).u16(fields.suite).u8(0);
  vector16(out, [&] {
    writeExtension(out, extension_type::kSupportedVersions, [&] { Writer(out).u16(kVersion13); });
    if (fields.group) {
      writeExtension(out, extension_type::kKeyShare,
                     [&] { writeShare(out, *fields.group, fields.share); });
    }
    writeConnectionId(out, fields.connection_id, fields.return_routability);
    writeExtension(out, extension_type::kPreSharedKey, [&] { Writer(out).u16(fields.psk); });
  });
}

void writeEncryptedExtensions(const std::string& alpn, Bytes& out) {
  vector16(out, [&] {
    if (!alpn.empty()) writeAlpn(out, {&alpn, 1});
  });
}

void writeNewConnectionId(std::span<const Bytes> ids, bool immediate, Bytes& out) {
  vector16(out, [&] {
    for (const Bytes& id : ids) Writer(out).u8(id.size()).bytes(id);
  });
  Writer(out).u8(immediate ? 0 : 1);
}

size_t writeHelloRetryRequest(uint16_t suite, uint16_t group, ByteView cookie, uint8_t* out) {
  MCBN_ASSERT(cookie.size() <= kMostCookieBytes);
  const size_t extensions = 6 + (group != 0 ? 6 : 0) + 6 + cookie.size();
  uint8_t* at = putBigEndian(out, kDtls12, 2);
  at = std::copy(kRetryRandom.begin(), kRetryRandom.end(), at);
  at = putBigEndian(at, 0, 1);
  at = putBigEndian(at, suite, 2);
  at = putBigEndian(at, 0, 1);
  at = putBigEndian(at, extensions, 2);
  at = putBigEndian(at, uint64_t{extension_type::kSupportedVersions} << 32 | 2 << 16 | kVersion13,
                    6);
  if (group != 0) {
    at = putBigEndian(at, uint64_t{extension_type::kKeyShare} << 32 | 2 << 16 | group, 6);
  }
  const uint64_t data = cookie.size() + 2;
  at = putBigEndian(at, uint64_t{extension_type::kCookie} << 32 | data << 16 | cookie.size(), 6);
  at = std::copy(cookie.begin(), cookie.end(), at);
  return static_cast<size_t>(at - out);
}

}  // namespace mcbn::dtls13
