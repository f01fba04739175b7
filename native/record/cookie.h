// cookie.h: the stateless cookie that a DTLS server has a client echo.
//
//   ClientHello --make()--> HelloVerifyRequest          nothing is stored
//   ClientHello + cookie --verify()--> the client receives at the address it claims
//
// cookie = window || HMAC-SHA256(secret, window || lp(address) || clientVersion || random ||
//          lp(sessionId)) cut to 28 bytes, window = floor(wallSeconds / 300) as four bytes.
//
// The extensions are left out on purpose: real clients add some to their second hello, and the
// address is what a cookie has to prove. The window inside the MAC does what rotating the secret
// does (RFC 6347 section 4.2.1): a cookie works in its own window and the next one. One window
// ahead is taken too, so instances that share a secret may differ in their clocks.
//
// Ownership   the secret lives only inside OpenSSL's contexts, which wipe it when freed.
// Thread      one at a time; each I/O thread has its own Cookies made of the same secret.
// Spec        RFC 6347 section 4.2.1
#pragma once

#include <array>
#include <memory>

#include "base/bytes.h"
#include "record/dtls_client_hello.h"
#include "record/hash.h"

namespace mcbn {

// 32 bytes: as much as DTLS 1.0 clients take, and a HelloVerifyRequest with it (60 bytes) is
// never longer than the shortest ClientHello that reaches through its cookie (61 bytes).
constexpr size_t kCookieBytes = 32;
constexpr uint64_t kCookieWindowSeconds = 300;
using Cookie = std::array<uint8_t, kCookieBytes>;

class Cookies {
 public:
  // `secretOrEmpty`: borrowed during the call, any length, 32 random bytes recommended; empty
  // means 32 fresh random bytes.
  explicit Cookies(ByteView secretOrEmpty);

  // False when OpenSSL has no HMAC-SHA256 or no randomness: then no cookie ever verifies, and an
  // endpoint should refuse to start.
  bool usable() const { return mac_ && mac_->usable(); }

  // `address`: at most kMaxAddressBytes; longer ones make no cookie that verifies.
  // `wallSeconds`: seconds since 1970, the same clock on every instance that shares the secret.
  Cookie make(ByteView address, const DtlsClientHello& hello, uint64_t wallSeconds);

  // Constant time in the cookie's bytes. `cookie` is usually hello.cookie.
  bool verify(ByteView address, const DtlsClientHello& hello, uint64_t wallSeconds,
              ByteView cookie);

 private:
  bool compute(ByteView address, const DtlsClientHello& hello, uint32_t window, Cookie& out);

  std::unique_ptr<Hmac> mac_;
};

}  // namespace mcbn
