#include "record/cookie.h"

#include <doctest/doctest.h>
#include <openssl/hmac.h>

#include <utility>

#include "wire.h"

using namespace mcbn;

namespace {

constexpr uint64_t kNow = 1'800'000'150;  // in the middle of a window
const Bytes kAddress = {4, 127, 0, 0, 1, 0x1F, 0x91};
const Bytes kSecret(32, 0x5A);

struct Hello {
  explicit Hello(const wire::HelloParts& parts = {})
      : bytes(wire::clientHello(parts)), parsed(*parseClientHello(bytes)) {}
  Bytes bytes;
  DtlsClientHello parsed;
};

}  // namespace

TEST_CASE("cookie: any changed, missing or added byte is refused") {
  Cookies cookies(kSecret);
  REQUIRE(cookies.usable());
  const Hello hello;
  const Cookie good = cookies.make(kAddress, hello.parsed, kNow);
  CHECK(cookies.verify(kAddress, hello.parsed, kNow, good));
  for (size_t i = 0; i < good.size(); i++) {
    for (int bit = 0; bit < 8; bit++) {
      Cookie bad = good;
      bad[i] ^= static_cast<uint8_t>(1 << bit);
      CHECK_FALSE(cookies.verify(kAddress, hello.parsed, kNow, bad));
    }
  }
  for (size_t size = 0; size < good.size(); size++) {
    CHECK_FALSE(cookies.verify(kAddress, hello.parsed, kNow, ByteView(good).first(size)));
  }
  Bytes longer(good.begin(), good.end());
  longer.push_back(0);
  CHECK_FALSE(cookies.verify(kAddress, hello.parsed, kNow, longer));
}

TEST_CASE("cookie: binds address, version, random and session id, but not the extensions") {
  Cookies cookies(kSecret);
  const Hello hello;
  const Cookie cookie = cookies.make(kAddress, hello.parsed, kNow);
  Bytes otherAddress = kAddress;
  otherAddress.back()++;
  CHECK_FALSE(cookies.verify(otherAddress, hello.parsed, kNow, cookie));

  wire::HelloParts random, session, version, extensions;
  random.random[31]++;
  session.sessionId = {1};
  version.version = kDtls10;
  extensions.extensions = {};
  extensions.cookie = Bytes(cookie.begin(), cookie.end());
  CHECK_FALSE(cookies.verify(kAddress, Hello(random).parsed, kNow, cookie));
  CHECK_FALSE(cookies.verify(kAddress, Hello(session).parsed, kNow, cookie));
  CHECK_FALSE(cookies.verify(kAddress, Hello(version).parsed, kNow, cookie));
  // pion's second hello carries extensions that its first lacks.
  CHECK(cookies.verify(kAddress, Hello(extensions).parsed, kNow, cookie));
}

TEST_CASE("cookie: no byte moves from one field to the next") {
  Cookies cookies(kSecret);
  const Hello hello;
  Bytes shifted = kAddress;
  shifted.push_back(0xFE);
  const Cookie cookie = cookies.make(kAddress, hello.parsed, kNow);
  CHECK_FALSE(cookies.verify(shifted, hello.parsed, kNow, cookie));
  CHECK_FALSE(cookies.verify({}, hello.parsed, kNow, cookie));
}

TEST_CASE("cookie: lives in its own window and the next, and one early for clocks that differ") {
  Cookies cookies(kSecret);
  const Hello hello;
  const Cookie cookie = cookies.make(kAddress, hello.parsed, kNow);
  struct Case {
    int64_t windows;
    bool good;
  };
  for (const Case& row :
       {Case{-2, false}, {-1, true}, {0, true}, {1, true}, {2, false}, {1000, false}}) {
    const uint64_t then = kNow + static_cast<uint64_t>(row.windows * 300);
    CHECK_MESSAGE(cookies.verify(kAddress, hello.parsed, then, cookie) == row.good, row.windows);
  }
  // The first windows since 1970 are nothing special.
  const Cookie first = cookies.make(kAddress, hello.parsed, 0);
  CHECK(cookies.verify(kAddress, hello.parsed, 0, first));
  CHECK(cookies.verify(kAddress, hello.parsed, 300, first));
  CHECK_FALSE(cookies.verify(kAddress, hello.parsed, 600, first));
}

TEST_CASE("cookie: instances with one secret agree; others, and those with none, do not") {
  Cookies one(kSecret), two(kSecret), other(Bytes(32, 0x5B)), fresh({}), fresher({});
  REQUIRE(fresh.usable());
  const Hello hello;
  const Cookie cookie = one.make(kAddress, hello.parsed, kNow);
  CHECK(two.verify(kAddress, hello.parsed, kNow, cookie));
  CHECK_FALSE(other.verify(kAddress, hello.parsed, kNow, cookie));
  CHECK_FALSE(fresh.verify(kAddress, hello.parsed, kNow, cookie));
  const Cookie own = fresh.make(kAddress, hello.parsed, kNow);
  CHECK(fresh.verify(kAddress, hello.parsed, kNow, own));
  CHECK_FALSE(fresher.verify(kAddress, hello.parsed, kNow, own));
  Cookies moved(std::move(one));
  CHECK(moved.verify(kAddress, hello.parsed, kNow, cookie));
  CHECK_FALSE(one.usable());
  CHECK_FALSE(one.verify(kAddress, hello.parsed, kNow, cookie));
}

TEST_CASE("cookie: is the documented HMAC-SHA256, also for secrets of other lengths") {
  for (const size_t length : {size_t{1}, size_t{16}, size_t{64}, size_t{65}, size_t{500}}) {
    const Bytes secret(length, 0x77);
    const Hello hello;
    Bytes input;
    Writer writer(input);
    writer.u32(kNow / 300).u8(kAddress.size()).bytes(kAddress).u16(kDtls12);
    writer.bytes(Bytes(32, 0x11)).u8(0);
    uint8_t mac[32];
    unsigned written = 0;
    REQUIRE(HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), input.data(),
                 input.size(), mac, &written) != nullptr);
    Bytes expected;
    Writer(expected).u32(kNow / 300).bytes(ByteView(mac).first(28));
    const Cookie made = Cookies(secret).make(kAddress, hello.parsed, kNow);
    CHECK(Bytes(made.begin(), made.end()) == expected);
  }
}

TEST_CASE("cookie: an address that is too long makes none that verifies") {
  Cookies cookies(kSecret);
  const Hello hello;
  const Bytes tooLong(33, 1);
  const Cookie cookie = cookies.make(tooLong, hello.parsed, kNow);
  CHECK_FALSE(cookies.verify(tooLong, hello.parsed, kNow, cookie));
  CHECK_FALSE(cookies.verify(kAddress, hello.parsed, kNow, cookie));
}
