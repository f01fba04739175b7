#include "record/psk_messages.h"

#include <doctest/doctest.h>

#include "wire.h"

using namespace mcbn;

namespace {

Bytes bytesOf(ByteView view) { return Bytes(view.begin(), view.end()); }

struct Offer {
  Bytes identity;
  size_t binder = 32;
};

Bytes offeredPsks(const std::vector<Offer>& offers) {
  Bytes identities, binders, out;
  for (const Offer& offer : offers) {
    Writer(identities).u16(offer.identity.size()).bytes(offer.identity).u32(0);
    Writer(binders).u8(offer.binder).bytes(Bytes(offer.binder, 0xB1));
  }
  Writer(out).u16(identities.size()).bytes(identities).u16(binders.size()).bytes(binders);
  return out;
}

Bytes serverName(uint8_t type, ByteView name) {
  Bytes entry, out;
  Writer(entry).u8(type).u16(name.size()).bytes(name);
  Writer(out).u16(entry.size()).bytes(entry);
  return out;
}

}  // namespace

TEST_CASE("identity: cut at any byte it is malformed; NUL bytes and emptiness are kept") {
  const Bytes withNul = {'a', 0, 'b'};
  const Bytes body = wire::pskBody(withNul);
  for (size_t cut = 0; cut < body.size(); cut++) {
    CHECK_FALSE(pskIdentityOf(wire::Exact(ByteView(body).first(cut)).view()));
  }
  CHECK(bytesOf(*pskIdentityOf(body)) == withNul);
  CHECK(pskIdentityOf(wire::pskBody({}))->empty());
}

TEST_CASE("identity: what follows it, a DH or EC point, is left alone (RFC 4279 3, RFC 5489 2)") {
  const Bytes body = wire::joined({wire::pskBody(wire::text("Client1")), Bytes{0, 2, 9, 9}});
  CHECK(bytesOf(*pskIdentityOf(body)) == wire::text("Client1"));
  CHECK(bytesOf(*pskHintOf(body)) == wire::text("Client1"));
}

TEST_CASE("identity: 256 bytes are the longest OpenSSL takes") {
  CHECK(pskIdentityOf(wire::pskBody(Bytes(256, 'i')))->size() == 256);
  CHECK_FALSE(pskIdentityOf(wire::pskBody(Bytes(257, 'i'))));
  CHECK_FALSE(pskHintOf(wire::pskBody(Bytes(257, 'i'))));
}

TEST_CASE("offered psks: cut or lengthened anywhere they are malformed (RFC 8446 4.2.11)") {
  const Bytes data = offeredPsks({{wire::text("Client1")}, {wire::text("ticket"), 48}});
  std::vector<OfferedPsk> out;
  for (size_t cut = 0; cut < data.size(); cut++) {
    CHECK_FALSE(parseOfferedPsks(wire::Exact(ByteView(data).first(cut)).view(), out, 8));
    CHECK(out.empty());
  }
  Bytes longer = data;
  longer.push_back(0);
  CHECK_FALSE(parseOfferedPsks(longer, out, 8));
}

TEST_CASE("offered psks: identities without binders, and the reverse, are malformed") {
  std::vector<OfferedPsk> out;
  const Bytes one = offeredPsks({{wire::text("a")}});
  const Bytes two = offeredPsks({{wire::text("a")}, {wire::text("b")}});
  const size_t oneIdentities = 2 + 7, twoIdentities = 2 + 14;
  Bytes tooFew(two.begin(), two.begin() + twoIdentities);
  tooFew.insert(tooFew.end(), one.begin() + oneIdentities, one.end());
  CHECK_FALSE(parseOfferedPsks(tooFew, out, 8));
  Bytes tooMany(one.begin(), one.begin() + oneIdentities);
  tooMany.insert(tooMany.end(), two.begin() + twoIdentities, two.end());
  CHECK_FALSE(parseOfferedPsks(tooMany, out, 8));
  CHECK_FALSE(parseOfferedPsks(offeredPsks({}), out, 8));
  CHECK_FALSE(parseOfferedPsks(offeredPsks({{Bytes()}}), out, 8));
  CHECK_FALSE(parseOfferedPsks(offeredPsks({{wire::text("a"), 31}}), out, 8));
}

TEST_CASE("offered psks: in order, with the binder that names the hash, and at most `max`") {
  const Bytes data =
      offeredPsks({{wire::text("a")}, {Bytes{0, 1, 0}, 48}, {Bytes(300, 'c')}, {wire::text("d")}});
  std::vector<OfferedPsk> out(7);
  REQUIRE(parseOfferedPsks(data, out, 3).has_value());
  REQUIRE(out.size() == 3);
  CHECK(bytesOf(out[0].identity) == wire::text("a"));
  CHECK(out[0].binderLength == 32);
  CHECK(bytesOf(out[1].identity) == Bytes{0, 1, 0});
  CHECK(out[1].binderLength == 48);
  CHECK(out[2].identity.size() == 300);
  REQUIRE(parseOfferedPsks(data, out, 0).has_value());
  CHECK(out.empty());
}

TEST_CASE("host name: RFC 6066 section 3") {
  CHECK(hostNameOf(serverName(0, wire::text("example.org"))) == "example.org");
  const Bytes data = serverName(0, wire::text("example.org"));
  for (size_t cut = 0; cut < data.size(); cut++) {
    CHECK_FALSE(hostNameOf(wire::Exact(ByteView(data).first(cut)).view()));
  }
  CHECK_FALSE(hostNameOf(serverName(1, wire::text("example.org"))));
  CHECK_FALSE(hostNameOf(serverName(0, {})));
  CHECK_FALSE(hostNameOf(serverName(0, Bytes{'a', 0, 'b'})));
  CHECK_FALSE(hostNameOf(serverName(0, wire::text("a b"))));
  CHECK(hostNameOf(serverName(0, Bytes(255, 'a'))));
  CHECK_FALSE(hostNameOf(serverName(0, Bytes(256, 'a'))));
}

TEST_CASE("supported versions: the ClientHello's list (RFC 8446 4.2.1)") {
  CHECK(offersVersion(Bytes{4, 3, 4, 3, 3}, 0x0304));
  CHECK(offersVersion(Bytes{4, 3, 4, 3, 3}, 0x0303));
  CHECK_FALSE(offersVersion(Bytes{4, 3, 4, 3, 3}, 0x0302));
  CHECK_FALSE(offersVersion(Bytes{3, 3, 4, 3}, 0x0304));
  CHECK_FALSE(offersVersion(Bytes{2, 3, 4, 3}, 0x0304));
  CHECK_FALSE(offersVersion(Bytes{4, 3, 4}, 0x0304));
  CHECK_FALSE(offersVersion(Bytes{}, 0));
}

TEST_CASE("psk messages: noise never reads beyond its end (seed 3)") {
  wire::Noise noise(3);
  const Bytes offers = offeredPsks({{wire::text("Client1")}, {wire::text("ticket"), 48}});
  std::vector<OfferedPsk> out;
  size_t accepted = 0;
  for (int round = 0; round < 50000; round++) {
    const wire::Exact bytes(noise.damaged(offers));
    if (parseOfferedPsks(bytes.view(), out, 4)) accepted += out.size();
    const auto identity = pskIdentityOf(bytes.view());
    if (identity) REQUIRE(identity->size() <= bytes.view().size() - 2);
    const auto name = hostNameOf(bytes.view());
    if (name) REQUIRE(name->size() < bytes.view().size());
  }
  CHECK(accepted > 0);
}
