// The stateless cookie of DTLS 1.3: who gets how much before the address is known.
#include <doctest/doctest.h>

#include "dtls13_exchange.h"

using namespace mcbn;
using namespace mcbn::dtls13;
using Verdict = CookieExchange::Verdict;

namespace {

constexpr uint64_t kWall = 1'000'000;
const Bytes kAddress = wire::text("192.0.2.1:4711"), kElsewhere = wire::text("192.0.2.2:4711");

// The first hello of a client with these options.
Bytes firstHello(const Pair13Options& options = {}) {
  Pair13 pair(options);
  pair.connect();
  return pair.at_client.sent.at(0);
}

Verdict take(CookieExchange& cookies, Bytes datagram, ByteView address = kAddress,
             uint64_t wall = kWall) {
  return cookies.take(address, datagram, wall);
}

// The hello in datagrams of one fragment each.
std::vector<Bytes> inFragments(ByteView hello, size_t size, uint64_t number = 0) {
  const auto record = Pair13::nextRecordOf(hello);
  Reader reader(record);
  const auto whole = nextFragment(reader);
  REQUIRE(whole);
  std::vector<Bytes> datagrams;
  for (size_t offset = 0; offset < whole->length; offset += size) {
    datagrams.push_back(
        wire::record(22, 0, number++,
                     wire::fragment(1, whole->messageSequence, whole->body, offset,
                                    std::min<size_t>(size, whole->length - offset))));
  }
  return datagrams;
}

uint8_t alertIn(ByteView answer) {
  REQUIRE(answer.size() == 15);
  CHECK(answer[0] == 21);
  return answer[14];
}

}  // namespace

TEST_CASE("dtls13 cookie: nothing but a hello of DTLS 1.3 is answered, and none costs memory") {
  Pair13 pair;
  const Bytes hello = firstHello();
  for (size_t length = 0; length < hello.size(); ++length) {
    const Bytes cut(hello.begin(), hello.begin() + static_cast<ptrdiff_t>(length));
    CHECK(take(pair.cookies, cut) == Verdict::Ignored);
  }
  CHECK(take(pair.cookies, wire::clientHello()) == Verdict::Older);
  CHECK(take(pair.cookies, wire::record(22, 0, 0, wire::message(20, 0, Bytes(12)))) ==
        Verdict::Ignored);
  CHECK(take(pair.cookies, wire::record(23, 0, 0, Bytes(20))) == Verdict::Ignored);
  CHECK(take(pair.cookies, Bytes(60, 0x2F)) == Verdict::Ignored);
  const Bytes too_long = wire::record(22, 0, 0, wire::fragment(1, 0, Bytes(5'000), 0, 100));
  CHECK(take(pair.cookies, too_long) == Verdict::Ignored);
}

TEST_CASE(
    "dtls13 cookie: an answer is the same each time, and under three times the hello (RFC 9147 "
    "section 5.1)") {
  for (const auto& server_groups : {std::vector{Group::X25519}, std::vector{Group::Secp256r1}}) {
    for (const PskHash hash : {PskHash::Sha256, PskHash::Sha384}) {
      Pair13Options options{.server_groups = server_groups, .hash = hash, .identity = "x"};
      Pair13 pair(options);
      const Bytes hello = firstHello(options);
      REQUIRE(take(pair.cookies, hello) == Verdict::Answer);
      const Bytes first(pair.cookies.answer().begin(), pair.cookies.answer().end());
      CHECK(first[0] == 22);
      CHECK(first.size() <= 3 * hello.size());
      REQUIRE(take(pair.cookies, hello) == Verdict::Answer);
      CHECK(std::ranges::equal(pair.cookies.answer(), first));
      // One in fragments is answered once, when all of it is there, however small they are.
      for (const size_t size : {1U, 20U, 71U, 139U}) {
        CAPTURE(size);
        size_t received = 0, answered = 0;
        for (const Bytes& datagram : inFragments(hello, size)) {
          received += datagram.size();
          if (take(pair.cookies, datagram) != Verdict::Answer) continue;
          answered += pair.cookies.answer().size();
        }
        CHECK(answered > 0);
        CHECK(answered <= 3 * received);
      }
    }
  }
}

TEST_CASE(
    "dtls13 cookie: a cookie works at its address, in its time, for its handshake (RFC 9147 "
    "section 5.1)") {
  Pair13 pair;
  pair.connect();
  const Bytes first = pair.at_client.sent.at(0);
  pair.run([&] { return pair.at_client.sent.size() >= 2; });
  const Bytes second = pair.at_client.sent.at(1);
  CHECK(take(pair.cookies, second) == Verdict::Verified);
  CHECK(pair.cookies.hello().message_sequence == 1);
  CHECK(take(pair.cookies, second, kAddress, kWall + 299) == Verdict::Verified);
  REQUIRE(take(pair.cookies, second, kElsewhere) == Verdict::Answer);
  CHECK(alertIn(pair.cookies.answer()) == alert::kIllegalParameter);
  REQUIRE(take(pair.cookies, second, kAddress, kWall + 601) == Verdict::Answer);
  CHECK(alertIn(pair.cookies.answer()) == alert::kIllegalParameter);
  // Another server does not know the secret.
  CookieExchange other(pair.server_settings, {});
  REQUIRE(other.usable());
  REQUIRE(take(other, second) == Verdict::Answer);
  CHECK(alertIn(other.answer()) == alert::kIllegalParameter);
  // The random belongs to it; it is behind the record's and the message's header and the version.
  Bytes changed = second;
  changed[27] ^= 1;
  REQUIRE(take(pair.cookies, changed) == Verdict::Answer);
  CHECK(alertIn(pair.cookies.answer()) == alert::kIllegalParameter);
  CHECK(take(pair.cookies, first) == Verdict::Answer);
}

TEST_CASE("dtls13 cookie: a legacy cookie is refused (RFC 9147 section 5.3)") {
  Pair13 pair;
  Bytes extensions;
  Writer(extensions).u16(43).u16(3).u8(2).u16(kVersion13);
  wire::HelloParts parts;
  parts.cookie = Bytes(20, 1);
  parts.extensions = extensions;
  REQUIRE(take(pair.cookies, wire::clientHello(parts)) == Verdict::Answer);
  CHECK(alertIn(pair.cookies.answer()) == alert::kIllegalParameter);
  // And one with nothing in common is told so.
  parts.cookie.clear();
  REQUIRE(take(pair.cookies, wire::clientHello(parts)) == Verdict::Answer);
  CHECK(alertIn(pair.cookies.answer()) == alert::kHandshakeFailure);
}

TEST_CASE(
    "dtls13 cookie: hellos in fragments open, in any order and repeated (RFC 9147 section 5.5)") {
  for (const size_t size : {40U, 71U, 139U, 200U}) {
    for (const bool backwards : {false, true}) {
      CAPTURE(size);
      CAPTURE(backwards);
      Pair13 pair;
      uint64_t number = 0;
      pair.fate = [&](Side from, Bytes& bytes) {
        if (from != Side::Client || bytes[0] != 22) return std::vector<Milliseconds>{0};
        auto fragments = inFragments(bytes, size, number);
        number += fragments.size();
        if (backwards) std::ranges::reverse(fragments);
        for (const Bytes& fragment : fragments) {
          pair.deliver(Side::Client, fragment);
          if (&fragment == &fragments[0]) pair.deliver(Side::Client, fragment);
        }
        return std::vector<Milliseconds>{};
      };
      pair.connect();
      pair.run();
      REQUIRE(pair.bothOpen());
      CHECK(pair.accepted == 1);
      exchangeMessages(pair);
    }
  }
}

TEST_CASE("dtls13 cookie: half hellos of many addresses leave whole ones alone") {
  Pair13 pair;
  const Bytes hello = firstHello();
  const auto halves = inFragments(hello, 139);
  for (unsigned i = 0; i < 20'000; ++i) {
    const Bytes address = wire::text("198.51.100.1:" + std::to_string(i));
    CHECK(take(pair.cookies, halves[0], address) == Verdict::Partial);
  }
  CHECK(take(pair.cookies, hello) == Verdict::Answer);
  // One in fragments that come together passes too; one of the first address was displaced.
  CHECK(take(pair.cookies, halves[0]) == Verdict::Partial);
  CHECK(take(pair.cookies, halves[1]) == Verdict::Answer);
  CHECK(take(pair.cookies, halves[1], wire::text("198.51.100.1:0")) == Verdict::Partial);
}

TEST_CASE(
    "dtls13 cookie: strangers' half hellos between the two of a client's do not shut it out (RFC "
    "9147 "
    "section 5.5)") {
  Pair13 pair;
  const auto halves = inFragments(firstHello(), 139);
  REQUIRE(halves.size() == 2);
  unsigned strangers = 0;
  for (unsigned client = 0; client < 20; ++client) {
    const Bytes address = wire::text("192.0.2.1:" + std::to_string(client));
    CHECK(take(pair.cookies, halves[0], address) == Verdict::Partial);
    // What 30,000 a second are in 4 ms.
    for (unsigned i = 0; i < 120; ++i) {
      const Bytes theirs = wire::text("198.51.100.1:" + std::to_string(++strangers));
      CHECK(take(pair.cookies, halves[0], theirs) == Verdict::Partial);
    }
    CHECK(take(pair.cookies, halves[1], address) == Verdict::Answer);
  }
}

TEST_CASE(
    "dtls13 cookie: records of version feff, as NSS writes first hellos (RFC 9147 section 4)") {
  Pair13 pair;
  pair.fate = [&](Side from, Bytes& bytes) {
    if (from == Side::Client && bytes[0] == 22) bytes[2] = 0xFF;
    return std::vector<Milliseconds>{0};
  };
  pair.connect();
  pair.run();
  REQUIRE(pair.bothOpen());
  exchangeMessages(pair);
}

TEST_CASE(
    "dtls13 cookie: a retry for the cookie alone keeps the key share, one for a group does not "
    "(RFC 8446 section 4.1.2)") {
  for (const bool other_group : {false, true}) {
    Pair13 pair({.server_groups = {other_group ? Group::Secp256r1 : Group::X25519}});
    pair.connect();
    pair.run();
    REQUIRE(pair.bothOpen());
    const auto share = [&](size_t index, Group group) {
      const ByteView record = Pair13::nextRecordOf(pair.at_client.sent.at(index));
      ClientHello hello;
      REQUIRE(!parseClientHello13(record.subspan(12), hello));
      const ByteView bytes = hello.shareOf(static_cast<uint16_t>(group));
      return Bytes(bytes.begin(), bytes.end());
    };
    const Bytes first = share(0, Group::X25519);
    CHECK(!first.empty());
    CHECK((share(1, Group::X25519) == first) == !other_group);
    CHECK(share(1, Group::Secp256r1).empty() == !other_group);
    exchangeMessages(pair);
  }
}

TEST_CASE(
    "dtls13 cookie: an empty key share is asked for one, as wolfSSL sends it (RFC 8446 section "
    "4.2.8)") {
  Pair13 pair;
  const Bytes random(32, 7), identity = wire::text("Client1");
  const std::array<uint16_t, 1> suites{0x1301};
  const std::array<uint16_t, 2> groups{0x0017, 0x001D};
  const ByteView offered(identity);
  Bytes body;
  writeClientHello({.random = random,
                    .suites = suites,
                    .groups = groups,
                    .share_group = {},
                    .share = {},
                    .modes = kPskDheKe,
                    .cookie = {},
                    .connection_id = {},
                    .servername = {},
                    .identities = {&offered, 1}},
                   body);
  REQUIRE(take(pair.cookies, wire::record(22, 0, 0, wire::message(1, 0, body))) == Verdict::Answer);
  ServerHello retry;
  REQUIRE(!parseServerHello(Pair13::nextRecordOf(pair.cookies.answer()).subspan(12), retry));
  CHECK(retry.retry);
  CHECK(*retry.group == 0x001D);
}

TEST_CASE(
    "dtls13 cookie: without the exchange a handshake takes one round trip less (RFC 9147 section "
    "5.1)") {
  Pair13 pair({.cookies = false});
  pair.connect();
  pair.run([&] { return pair.client->open(); });
  CHECK(pair.now == 1'000 + 20);
  pair.run();
  REQUIRE(pair.bothOpen());
  exchangeMessages(pair);
}
