// Key shares: what no peer may send, then what both sides agree on.
#include <doctest/doctest.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "dtls13/key_exchange.h"
#include "wire.h"

using namespace mcbn;
using namespace mcbn::dtls13;
using wire::fromHex;

namespace {

constexpr Group kAll[] = {Group::Secp256r1, Group::X25519, Group::X25519MlKem768};

Bytes bytesOf(ByteView view) { return Bytes(view.begin(), view.end()); }

// Both sides refuse the share, and leave no error in the queue that node:crypto reads too.
void refused(Group group, const Bytes& share) {
  CHECK(!answerKeyShare(group, share).has_value());
  auto own = KeyShare::make(group);
  REQUIRE(own.has_value());
  CHECK(std::move(*own).finish(share).empty());
  CHECK(ERR_peek_error() == 0);
}

}  // namespace

TEST_CASE("dtls13 key exchange: refuses shares of another length (RFC 8446 section 4.2.8.2)") {
  for (const Group group : kAll) {
    if (!available(group)) continue;
    CAPTURE(nameOf(group));
    const auto own = KeyShare::make(group);
    REQUIRE(own.has_value());
    const Bytes share = bytesOf(own->share());
    REQUIRE(share.size() == clientShareBytes(group));
    refused(group, {});
    refused(group, Bytes(share.begin(), share.end() - 1));
    refused(group, wire::joined({share, {0}}));
  }
}

TEST_CASE("dtls13 key exchange: refuses points that are none of P-256 (RFC 8446 section 4.2.8.2)") {
  const auto own = KeyShare::make(Group::Secp256r1);
  REQUIRE(own.has_value());
  const Bytes share = bytesOf(own->share());
  CHECK(share[0] == 4);
  Bytes other = share;
  other[64] ^= 1;  // off the curve
  refused(Group::Secp256r1, other);
  other = share;
  other[0] = static_cast<uint8_t>(6 | (share[64] & 1));  // "hybrid": the same point otherwise
  refused(Group::Secp256r1, other);
  other = Bytes(65, 0xFF);  // not below the prime
  other[0] = 4;
  refused(Group::Secp256r1, other);
  refused(Group::Secp256r1, Bytes(65));
}

TEST_CASE("dtls13 key exchange: refuses what gives zeros with X25519 (RFC 8446 section 7.4.2)") {
  // Points of small order (RFC 7748 section 6.1; the list of draft-irtf-cfrg-curve25519).
  for (const char* const point :
       {"0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"}) {
    CAPTURE(point);
    refused(Group::X25519, fromHex(point));
  }
}

TEST_CASE("dtls13 key exchange: refuses ML-KEM keys that are none, and bad X25519 beside them") {
  const Group group = Group::X25519MlKem768;
  if (!available(group)) {
    MESSAGE("no X25519MLKEM768 in ", OpenSSL_version(OPENSSL_VERSION));
    CHECK(!KeyShare::make(group).has_value());
    CHECK(!answerKeyShare(group, Bytes(clientShareBytes(group), 1)).has_value());
    return;
  }
  const auto own = KeyShare::make(group);
  REQUIRE(own.has_value());
  const Bytes share = bytesOf(own->share());
  // FIPS 203 section 7.2: coefficients are below 3329.
  Bytes other = share;
  other[0] = 0xFF;
  other[1] = 0xFF;
  CHECK(!answerKeyShare(group, other).has_value());
  other = share;
  std::fill(other.end() - 32, other.end(), uint8_t{0});
  CHECK(!answerKeyShare(group, other).has_value());
  auto answer = answerKeyShare(group, share);
  REQUIRE(answer.has_value());
  std::fill(answer->share.end() - 32, answer->share.end(), uint8_t{0});
  auto mine = std::move(*KeyShare::make(group));
  CHECK(std::move(mine).finish(answer->share).empty());
  CHECK(ERR_peek_error() == 0);
}

TEST_CASE("dtls13 key exchange: both sides get one secret, and each exchange another") {
  for (const Group group : kAll) {
    if (!available(group)) continue;
    CAPTURE(nameOf(group));
    CHECK(groupOf(static_cast<uint16_t>(group)) == group);
    Bytes before;
    for (int i = 0; i < 3; ++i) {
      auto client = KeyShare::make(group);
      REQUIRE(client.has_value());
      const auto server = answerKeyShare(group, client->share());
      REQUIRE(server.has_value());
      CHECK(server->share.size() == serverShareBytes(group));
      const Secret secret = std::move(*client).finish(server->share);
      CHECK(secret.size() == (group == Group::X25519MlKem768 ? 64 : 32));
      CHECK(bytesOf(secret.view()) == bytesOf(server->shared_secret.view()));
      CHECK(bytesOf(secret.view()) != before);
      before = bytesOf(secret.view());
    }
  }
  CHECK(!groupOf(0x0018).has_value());
  CHECK(!groupOf(0).has_value());
}
