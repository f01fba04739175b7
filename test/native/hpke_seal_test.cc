// RFC 9180's sealing without Node: sizes, keys that are none, and each allocation of OpenSSL's failing once. What
// it seals is opened in test/consent/base/hpke.test.ts. A separate program, since OpenSSL's allocator is chosen
// before its first use.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <openssl/err.h>

#include <algorithm>

#include "failing_openssl.h"
#include "hpke/seal.h"

using namespace mcbn;

namespace {

// RFC 9180 appendix A.1.1: pkR.
const Bytes kReceiver = {0x39, 0x48, 0xcf, 0xe0, 0xad, 0x1d, 0xdb, 0x69, 0x5d, 0x78, 0x0e,
                         0x59, 0x07, 0x71, 0x95, 0xda, 0x6c, 0x56, 0x50, 0x6b, 0x02, 0x73,
                         0x29, 0x79, 0x4a, 0xb0, 0x2b, 0xca, 0x80, 0x81, 0x5c, 0x4d};
const Bytes kPlaintext(32, 7);
const Bytes kInfo(60, 1);

HpkeMessage message() {
  return {.public_key = kReceiver,
          .plaintext = kPlaintext,
          .info = kInfo,
          .aad = kInfo,
          .exports = {"renewal", "return"}};
}

bool zeros(const Bytes& bytes) {
  return std::ranges::all_of(bytes, [](uint8_t byte) { return byte == 0; });
}

}  // namespace

TEST_CASE("hpke: an output of another size is refused, and zero") {
  const size_t right = hpkeSealedBytes(message());
  CHECK(right == 32 + 32 + 16 + 64);
  for (const size_t size : {size_t{0}, size_t{1}, right - 1, right + 1}) {
    Bytes out(size, 9);
    CHECK_FALSE(hpkeSeal(message(), out));
    CHECK(zeros(out));
  }
}

TEST_CASE("hpke: what is no key of X25519, or of low order, is refused (RFC 9180 section 7.1.4)") {
  Bytes one(32, 0);
  one[0] = 1;
  for (const Bytes& key : {Bytes(), Bytes(31, 9), Bytes(33, 9), Bytes(32, 0), one}) {
    HpkeMessage wrong = message();
    wrong.public_key = key;
    Bytes out(hpkeSealedBytes(wrong), 9);
    CHECK_FALSE(hpkeSeal(wrong, out));
    CHECK(zeros(out));
  }
}

TEST_CASE("hpke: seals text, context and exports of any length, each time with a fresh key") {
  for (const size_t size : {0, 1, 15, 16, 17, 1'000, 70'000}) {
    const Bytes any(size, 3);
    HpkeMessage given = message();
    given.plaintext = given.info = given.aad = any;
    given.exports = {"", std::string(size, 'x')};
    Bytes first(hpkeSealedBytes(given)), second(first.size());
    CHECK(hpkeSeal(given, first));
    CHECK(hpkeSeal(given, second));
    CHECK(first != second);
  }
}

TEST_CASE("hpke: an allocation that fails is a message that is not sealed, and zero") {
  unsigned sealed = 0, refused = 0;
  for (long nth = 0; sealed == 0; ++nth) {
    CAPTURE(nth);
    Bytes out(hpkeSealedBytes(message()), 9);
    failed = false;
    countdown = nth;
    const bool made = hpkeSeal(message(), out);
    countdown = -1;
    ERR_clear_error();
    if (!made) {
      CHECK(zeros(out));
      ++refused;
    }
    // What OpenSSL can do without, such as the memory of an error, changes nothing.
    if (!failed) sealed += made ? 1 : 0;
    REQUIRE((failed || made));
  }
  CHECK(refused > 5);
}

int main(int argc, char** argv) {
  if (!takeAllocations()) return 1;
  // What is looked up once, at first use, stays looked up.
  Bytes out(hpkeSealedBytes(message()));
  if (!hpkeSeal(message(), out)) return 1;
  return doctest::Context(argc, argv).run();
}
