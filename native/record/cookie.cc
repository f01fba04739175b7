#include "record/cookie.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>

#include "base/address_bytes.h"

namespace mcbn {
namespace {

constexpr size_t kMacBytes = hashBytes(Hash::Sha256);
constexpr size_t kWindowBytes = 4;

// Everything the MAC covers in one stretch: one call.
struct MacInput {
  std::array<uint8_t, kWindowBytes + 1 + kMaxAddressBytes + 2 + 32 + 1 + 32> bytes;
  size_t size = 0;

  void number(uint32_t value, unsigned width) {
    putBigEndian(bytes.data() + size, value, width);
    size += width;
  }
  void append(ByteView view) {
    std::copy(view.begin(), view.end(), bytes.begin() + size);
    size += view.size();
  }
};

uint32_t windowOf(uint64_t wallSeconds) {
  return static_cast<uint32_t>(wallSeconds / kCookieWindowSeconds);
}

}  // namespace

Cookies::Cookies(ByteView secretOrEmpty) {
  std::array<uint8_t, 32> fresh;
  if (secretOrEmpty.empty()) {
    if (RAND_bytes(fresh.data(), static_cast<int>(fresh.size())) != 1) return;
    secretOrEmpty = fresh;
  }
  mac_ = std::make_unique<Hmac>(Hash::Sha256, secretOrEmpty);
  OPENSSL_cleanse(fresh.data(), fresh.size());
}

Cookie Cookies::make(ByteView address, const DtlsClientHello& hello, uint64_t wallSeconds) {
  Cookie cookie{};
  if (!compute(address, hello, windowOf(wallSeconds), cookie)) cookie.fill(0);
  return cookie;
}

bool Cookies::verify(ByteView address, const DtlsClientHello& hello, uint64_t wallSeconds,
                     ByteView cookie) {
  Reader reader(cookie);
  uint32_t window = 0;
  if (cookie.size() != kCookieBytes || !reader.u32(window)) return false;
  // Wraps like the windows themselves: -1, 0 or 1 away from now. The window is not a secret.
  if (window - windowOf(wallSeconds) + 1 > 2) return false;
  Cookie expected;
  if (!compute(address, hello, window, expected)) return false;
  return CRYPTO_memcmp(expected.data(), cookie.data(), kCookieBytes) == 0;
}

bool Cookies::compute(ByteView address, const DtlsClientHello& hello, uint32_t window,
                      Cookie& out) {
  if (!mac_ || address.size() > kMaxAddressBytes || hello.random.size() != 32 ||
      hello.sessionId.size() > 32) {
    return false;
  }
  MacInput input;
  input.number(window, kWindowBytes);
  input.number(static_cast<uint32_t>(address.size()), 1);
  input.append(address);
  input.number(hello.clientVersion, 2);
  input.append(hello.random);
  input.number(static_cast<uint32_t>(hello.sessionId.size()), 1);
  input.append(hello.sessionId);

  std::array<uint8_t, kMacBytes> mac;
  if (!mac_->of({ByteView(input.bytes).first(input.size)}, mac.data())) return false;
  std::copy_n(input.bytes.begin(), kWindowBytes, out.begin());
  std::copy_n(mac.begin(), kCookieBytes - kWindowBytes, out.begin() + kWindowBytes);
  return true;
}

}  // namespace mcbn
