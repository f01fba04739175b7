// SHA-2 and HMAC: a key that is prepared once, messages in parts, and a hash that goes on (RFC 2104).
#include "record/hash.h"

#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <optional>

#include "wire.h"

using namespace mcbn;
using wire::fromHex;
using wire::Noise;

namespace {

constexpr Hash kBoth[] = {Hash::Sha256, Hash::Sha384};

Bytes text(std::string_view value) { return {value.begin(), value.end()}; }

Bytes referenceHmac(Hash hash, const Bytes& key, const Bytes& data) {
  Bytes out(hashBytes(hash));
  unsigned length = 0;
  const EVP_MD* const digest = hash == Hash::Sha384 ? EVP_sha384() : EVP_sha256();
  // Null would be the key before.
  const void* const from = key.empty() ? "" : static_cast<const void*>(key.data());
  REQUIRE(HMAC(digest, from, static_cast<int>(key.size()), data.data(), data.size(), out.data(),
               &length));
  return out;
}

Bytes by(const Hmac& mac, Parts parts) {
  Bytes out(mac.size());
  REQUIRE(mac.of(parts, out.data()));
  return out;
}

}  // namespace

TEST_CASE("hash: the vectors of RFC 4231, by a prepared key and without one") {
  struct Vector {
    Bytes key, data;
    const char *sha256, *sha384;
  };
  const Vector vectors[] = {
      {Bytes(20, 0x0b), text("Hi There"),
       "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
       "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59c"
       "faea9ea9076ede7f4af152e8b2fa9cb6"},
      {text("Jefe"), text("what do ya want for nothing?"),
       "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
       "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
       "8e2240ca5e69e2c78b3239ecfab21649"},
      {Bytes(131, 0xaa), text("Test Using Larger Than Block-Size Key - Hash Key First"),
       "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
       "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c6"
       "0c2ef6ab4030fe8296248df163f44952"},
  };
  for (const Vector& vector : vectors) {
    for (const Hash hash : kBoth) {
      const Bytes expected = fromHex(hash == Hash::Sha384 ? vector.sha384 : vector.sha256);
      CHECK(by(Hmac(hash, vector.key), {vector.data}) == expected);
      const Secret once = hmacOf(hash, vector.key, {vector.data});
      CHECK(Bytes(once.view().begin(), once.view().end()) == expected);
    }
  }
}

TEST_CASE("hash: a prepared key gives the same for any message, whatever came before (RFC 2104)") {
  Noise noise(1);
  for (const Hash hash : kBoth) {
    for (const size_t length : {0, 1, 63, 64, 65, 127, 128, 129, 512}) {
      CAPTURE(length);
      const Bytes key = noise.bytes(length);
      const Hmac mac(hash, key);
      REQUIRE(mac.usable());
      for (int i = 0; i < 8; ++i) {
        const Bytes first = noise.bytes(noise.below(70)), second = noise.bytes(noise.below(200));
        Bytes whole = first;
        whole.insert(whole.end(), second.begin(), second.end());
        CHECK(by(mac, {first, second}) == referenceHmac(hash, key, whole));
        CHECK(by(mac, {whole}) == referenceHmac(hash, key, whole));
      }
      CHECK(by(mac, {}) == referenceHmac(hash, key, {}));
    }
  }
}

TEST_CASE("hash: one that goes on is not changed by what is looked at meanwhile") {
  Noise noise(2);
  for (const Hash hash : kBoth) {
    Hashing all(hash), look(hash);
    REQUIRE(all.begin());
    Bytes said;
    for (int i = 0; i < 12; ++i) {
      const Bytes more = noise.bytes(noise.below(150));
      REQUIRE(all.add(ByteView(more)));
      said.insert(said.end(), more.begin(), more.end());
      const HashValue now(hash, [&](uint8_t* out) { return look.beginAs(all) && look.end(out); });
      CHECK(Bytes(now.begin(), now.end()) == digestOf(hash, {said}));
    }
    const ByteView empty = emptyDigest(hash);
    CHECK(Bytes(empty.begin(), empty.end()) == digestOf(hash, {}));
  }
}

TEST_CASE("hash: without a context there is no hash, and no value") {
  Hashing gone(Hash::Sha256);
  const Hashing taken = std::move(gone);
  uint8_t out[kMaxHashBytes];
  CHECK_FALSE(gone.begin());  // NOLINT: that is the question
  CHECK_FALSE(gone.beginAs(taken));
  CHECK(HashValue(Hash::Sha256, [&](uint8_t* to) { return gone.of({}, to); }).empty());
  std::optional<Hmac> mac(std::in_place, Hash::Sha256, Bytes(32, 1));
  const Hmac moved = std::move(*mac);
  CHECK_FALSE(mac->of({}, out));
  CHECK(moved.of({}, out));
}
