#include <doctest/doctest.h>

#include "record/handshake_screen.h"
#include "wire.h"

using namespace mcbn;

namespace {

const Bytes kChangeCipherSpec = {1};

// A client's flight, record by record, with running sequence numbers.
struct Client {
  explicit Client(bool hold) : screen(hold) {}

  Verdict send(const Bytes& bytes) {
    // A copy that dies at once: the screen must keep nothing of it.
    const wire::Exact copy(bytes);
    ByteView datagram = copy.view();
    const auto record = nextRecord(datagram);
    REQUIRE(record);
    return screen.inspect(*record);
  }
  Verdict handshake(const Bytes& fragments, uint16_t version = kDtls12) {
    return send(wire::record(content_type::kHandshake, 0, sequence++, fragments, version));
  }
  Verdict hello(uint16_t messageSequence = 1) {
    return handshake(
        wire::message(handshake_type::kClientHello, messageSequence, wire::clientHelloBody()),
        kDtls10);
  }
  Verdict keyExchange(const Bytes& identity, uint16_t messageSequence = 2) {
    return handshake(wire::message(handshake_type::kClientKeyExchange, messageSequence,
                                   wire::pskBody(identity)));
  }
  Verdict changeCipherSpec() {
    return send(wire::record(content_type::kChangeCipherSpec, 0, sequence++, kChangeCipherSpec));
  }
  Verdict finished(uint8_t type = content_type::kHandshake) {
    return send(wire::record(type, 1, encrypted++, Bytes(40, 0xEE)));
  }

  ServerScreen screen;
  uint64_t sequence = 1;
  uint64_t encrypted = 0;
};

const Bytes kIdentity = wire::text("Client1");

Bytes identityOf(const ServerScreen& screen) {
  const auto identity = screen.identity();
  return identity ? Bytes(identity->begin(), identity->end()) : wire::text("(none)");
}

}  // namespace

TEST_CASE("server screen: drops every handshake message that PSK clients do not send") {
  for (int type = 0; type < 256; type++) {
    if (type == handshake_type::kClientHello || type == handshake_type::kClientKeyExchange)
      continue;
    Client client(true);
    client.hello();
    CHECK(client.handshake(wire::message(static_cast<uint8_t>(type), 2, Bytes(4))) ==
          Verdict::Drop);
    CHECK(client.screen.dropReason() == DropReason::UnexpectedMessage);
  }
}

TEST_CASE("server screen: drops records of other types and epochs, and of other versions") {
  Client client(true);
  CHECK(client.hello() == Verdict::Pass);
  for (const uint8_t type : {0, 19, 23, 24, 25, 255}) {
    CHECK(client.send(wire::record(type, 0, client.sequence++, Bytes(8))) == Verdict::Drop);
  }
  CHECK(client.send(wire::record(20, 1, 0, kChangeCipherSpec)) == Verdict::Drop);
  for (const uint16_t epoch : {2, 3, 0x0100, 0xFFFF}) {
    CHECK(client.send(wire::record(22, epoch, 0, Bytes(40))) == Verdict::Drop);
    CHECK(client.screen.dropReason() == DropReason::WrongEpoch);
  }
  CHECK(client.send(wire::record(22, 1, 0, Bytes(40), kDtls10)) == Verdict::Drop);
  CHECK(client.screen.dropReason() == DropReason::WrongVersion);
  const Bytes exchange = wire::message(16, 2, wire::pskBody(kIdentity));
  CHECK(client.handshake(exchange, kDtls10) == Verdict::Drop);
  CHECK(client.screen.dropReason() == DropReason::WrongVersion);
  CHECK_FALSE(client.screen.keyExchangeComplete());
}

TEST_CASE("server screen: drops messages that announce more than a PSK handshake needs") {
  const auto announcing = [](uint8_t type, size_t length) {
    const Bytes body(length);
    return wire::fragment(type, type == 1 ? 1 : 2, body, 0, 20);
  };
  Client client(true);
  CHECK(client.handshake(announcing(1, kMaxClientHelloBytes + 1)) == Verdict::Drop);
  CHECK(client.screen.dropReason() == DropReason::Oversized);
  CHECK(client.handshake(announcing(1, kMaxClientHelloBytes)) == Verdict::Pass);
  CHECK(client.handshake(announcing(16, kMaxClientKeyExchangeBytes + 1)) == Verdict::Drop);
  CHECK(client.screen.dropReason() == DropReason::Oversized);
  CHECK(client.handshake(announcing(16, kMaxClientKeyExchangeBytes)) == Verdict::Pass);
}

TEST_CASE("server screen: a handshake record cut at any byte is dropped and leaves no trace") {
  const Bytes whole = wire::message(16, 2, wire::pskBody(kIdentity));
  Client client(true);
  client.hello();
  for (size_t cut = 0; cut < whole.size(); cut++) {
    CHECK(client.handshake(Bytes(whole.begin(), whole.begin() + cut)) == Verdict::Drop);
    CHECK(client.screen.dropReason() == DropReason::Malformed);
  }
  // A good key exchange and something bad behind it: OpenSSL gets neither, so neither counts.
  CHECK(client.handshake(wire::joined({whole, Bytes{1}})) == Verdict::Drop);
  CHECK(client.handshake(wire::joined({whole, wire::message(11, 3, Bytes(3))})) == Verdict::Drop);
  CHECK_FALSE(client.screen.keyExchangeComplete());
  CHECK(client.changeCipherSpec() == Verdict::Drop);
  CHECK(client.handshake(whole) == Verdict::Hold);
}

TEST_CASE("server screen: encrypted records before ChangeCipherSpec are few (CVE-2026-54874)") {
  Client client(false);
  client.hello();
  for (unsigned i = 0; i < kMaxEarlyRecords; i++) CHECK(client.finished() == Verdict::Pass);
  for (int i = 0; i < 100; i++) {
    CHECK(client.finished() == Verdict::Drop);
    CHECK(client.screen.dropReason() == DropReason::Flood);
  }
  // Early, repeated or malformed ChangeCipherSpecs, which OpenSSL ignores, lift no cap.
  CHECK(client.changeCipherSpec() == Verdict::Drop);
  CHECK(client.finished() == Verdict::Drop);
  CHECK(client.keyExchange(kIdentity) == Verdict::Pass);
  CHECK(client.send(wire::record(20, 0, client.sequence++, Bytes{2})) == Verdict::Drop);
  CHECK(client.send(wire::record(20, 0, client.sequence++, Bytes{1, 1})) == Verdict::Drop);
  CHECK(client.send(wire::record(20, 0, client.sequence++, Bytes{1}, kDtls10)) == Verdict::Drop);
  CHECK(client.finished() == Verdict::Drop);
  CHECK(client.changeCipherSpec() == Verdict::Pass);
  CHECK(client.screen.changeCipherSpecSeen());
  CHECK(client.finished() == Verdict::Pass);
}

TEST_CASE("server screen: encrypted records are bounded until established()") {
  Client client(false);
  client.hello();
  client.keyExchange(kIdentity);
  client.changeCipherSpec();
  for (unsigned i = 0; i < kMaxUnprovenRecords; i++) CHECK(client.finished() == Verdict::Pass);
  CHECK(client.finished() == Verdict::Drop);
  client.screen.established();
  for (int i = 0; i < 100; i++) CHECK(client.finished(23) == Verdict::Pass);
  CHECK(client.send(wire::record(23, 2, 0, Bytes(40))) == Verdict::Drop);
}

TEST_CASE("server screen: a record that OpenSSL drops as a replay counts for nothing") {
  Client client(true);
  client.hello();
  const Bytes exchange = wire::message(16, 2, wire::pskBody(kIdentity));
  CHECK(client.send(wire::record(22, 0, 1, exchange)) == Verdict::Drop);  // the hello's number
  CHECK(client.screen.dropReason() == DropReason::Replayed);
  CHECK_FALSE(client.screen.keyExchangeComplete());
  // A dropped record does not use its number up.
  CHECK(client.send(wire::record(22, 0, 2, wire::message(11, 2, Bytes(3)))) == Verdict::Drop);
  CHECK(client.send(wire::record(22, 0, 2, exchange)) == Verdict::Hold);
}

TEST_CASE("server screen: the key exchange follows the hello, by number") {
  Client client(true);
  CHECK(client.keyExchange(kIdentity) == Verdict::Drop);  // no hello yet
  CHECK(client.hello(1) == Verdict::Pass);
  CHECK(client.hello(0) == Verdict::Drop);
  CHECK(client.keyExchange(kIdentity, 1) == Verdict::Drop);
  CHECK(client.keyExchange(kIdentity, 3) == Verdict::Drop);
  CHECK(client.screen.dropReason() == DropReason::UnexpectedMessage);
  CHECK(client.keyExchange(kIdentity, 2) == Verdict::Hold);

  Client uncookied(true);
  CHECK(uncookied.hello(0) == Verdict::Pass);
  CHECK(uncookied.keyExchange(kIdentity, 1) == Verdict::Hold);
}

TEST_CASE("server screen: a fragment that contradicts an earlier one is dropped") {
  Client client(true);
  client.hello();
  const Bytes one = wire::pskBody(wire::text("alice")), two = wire::pskBody(wire::text("mallo"));
  const Bytes longer = wire::pskBody(wire::text("alicex"));
  CHECK(client.handshake(wire::fragment(16, 2, one, 0, 4)) == Verdict::Pass);
  CHECK(client.handshake(wire::fragment(16, 2, two, 1, 6)) == Verdict::Drop);
  CHECK(client.screen.dropReason() == DropReason::Contradiction);
  CHECK(client.handshake(wire::fragment(16, 2, longer, 4, 4)) == Verdict::Drop);
  CHECK(client.screen.dropReason() == DropReason::Contradiction);
  CHECK(client.handshake(wire::fragment(16, 2, one, 3, 4)) == Verdict::Hold);
  CHECK(identityOf(client.screen) == wire::text("alice"));
}

TEST_CASE("server screen: a whole message outweighs parts of another, which anybody can send") {
  Client client(true);
  client.hello();
  const Bytes one = wire::pskBody(wire::text("alice")),
              forged = wire::pskBody(wire::text("mallory"));
  CHECK(client.handshake(wire::fragment(16, 2, forged, 0, 5)) == Verdict::Pass);
  CHECK(client.handshake(wire::message(16, 2, one)) == Verdict::Hold);
  CHECK(identityOf(client.screen) == wire::text("alice"));
}

TEST_CASE("server screen: no record number closes the way to those that follow") {
  Client client(true);
  client.hello();
  const Bytes body = wire::pskBody(wire::text("alice"));
  const Bytes early =
      wire::record(22, 0, (uint64_t{1} << 48) - 1, wire::fragment(16, 2, body, 0, 2));
  ByteView rest(early);
  CHECK(client.screen.inspect(*nextRecord(rest)) == Verdict::Pass);
  CHECK(client.keyExchange(wire::text("alice")) == Verdict::Hold);
}

TEST_CASE("server screen: hands out the identity whole, NUL bytes included") {
  for (const Bytes& identity : {kIdentity, Bytes{'a', 0, 'b'}, Bytes(), Bytes(256, 'x')}) {
    Client client(true);
    client.hello();
    CHECK_FALSE(client.screen.identity());
    CHECK(client.keyExchange(identity) == Verdict::Hold);
    CHECK(identityOf(client.screen) == identity);
  }
}

TEST_CASE("server screen: does not hold what OpenSSL refuses without asking for a key") {
  Client tooLong(true);
  tooLong.hello();
  CHECK(tooLong.keyExchange(Bytes(257, 'x')) == Verdict::Pass);
  CHECK_FALSE(tooLong.screen.identity());
  Client malformed(true);
  malformed.hello();
  CHECK(malformed.handshake(wire::message(16, 2, Bytes{0, 9, 'a'})) == Verdict::Pass);
  CHECK(malformed.screen.keyExchangeComplete());
  CHECK_FALSE(malformed.screen.identity());
  CHECK_FALSE(malformed.screen.holding());
}

TEST_CASE("server screen: holds from the completing fragment on, whichever comes last") {
  const Bytes body = wire::pskBody(wire::text("a longer identity"));
  for (const bool backwards : {false, true}) {
    Client client(true);
    client.hello();
    for (size_t i = 0; i < body.size(); i++) {
      const size_t offset = backwards ? body.size() - 1 - i : i;
      const bool last = i + 1 == body.size();
      CHECK(client.handshake(wire::fragment(16, 2, body, offset, 1)) ==
            (last ? Verdict::Hold : Verdict::Pass));
      CHECK(client.screen.identity().has_value() == last);
    }
  }
}

TEST_CASE("server screen: holds the rest of the flight, drops repeats, lets alerts by") {
  Client client(true);
  client.hello();
  CHECK(client.keyExchange(kIdentity) == Verdict::Hold);
  CHECK(client.screen.holding());
  CHECK(client.changeCipherSpec() == Verdict::Hold);
  CHECK(client.finished() == Verdict::Hold);
  // The client's timer: the same flight again.
  CHECK(client.hello() == Verdict::Drop);
  CHECK(client.screen.dropReason() == DropReason::Duplicate);
  CHECK(client.keyExchange(kIdentity) == Verdict::Drop);
  CHECK(client.screen.dropReason() == DropReason::Duplicate);
  CHECK(client.changeCipherSpec() == Verdict::Drop);
  CHECK(client.finished() == Verdict::Hold);
  const Bytes giveUp = plaintextAlert(kDtls12, client.sequence++, alert::kFatal, 90);
  CHECK(client.send(giveUp) == Verdict::Pass);

  client.screen.release();
  CHECK_FALSE(client.screen.holding());
  CHECK(client.screen.changeCipherSpecSeen());
  CHECK(client.keyExchange(kIdentity) == Verdict::Pass);
  CHECK(client.finished() == Verdict::Pass);
}

TEST_CASE("server screen: what has to be kept is bounded in number and in bytes") {
  Client many(true);
  many.hello();
  unsigned held = 0;
  held += many.keyExchange(kIdentity) == Verdict::Hold;
  held += many.changeCipherSpec() == Verdict::Hold;
  for (int i = 0; i < 100; i++) held += many.finished() == Verdict::Hold;
  CHECK(held <= kMaxHeldRecords);
  CHECK(many.screen.dropReason() == DropReason::Flood);

  Client large(true);
  large.hello();
  REQUIRE(large.keyExchange(kIdentity) == Verdict::Hold);
  size_t bytes = 0;
  for (int i = 0; i < 20; i++) {
    const Bytes record = wire::record(22, 1, large.encrypted++, Bytes(3000));
    if (large.send(record) == Verdict::Hold) bytes += record.size();
  }
  CHECK(bytes == 2 * 3013);

  Client huge(true);
  huge.hello();
  Bytes padded = wire::message(16, 2, wire::pskBody(kIdentity));
  const Bytes hello = wire::message(1, 1, wire::clientHelloBody());
  while (padded.size() <= kMaxHeldBytes) padded.insert(padded.end(), hello.begin(), hello.end());
  CHECK(huge.handshake(padded) == Verdict::Drop);
  CHECK(huge.screen.dropReason() == DropReason::Flood);
  CHECK_FALSE(huge.screen.holding());
  CHECK_FALSE(huge.screen.keyExchangeComplete());
}

TEST_CASE("server screen: without holding the whole flight passes, and the identity is known") {
  for (const bool releasedEarly : {false, true}) {
    Client client(releasedEarly);
    if (releasedEarly) client.screen.release();
    client.hello();
    CHECK(client.keyExchange(kIdentity) == Verdict::Pass);
    CHECK(client.changeCipherSpec() == Verdict::Pass);
    CHECK(client.finished() == Verdict::Pass);
    CHECK(identityOf(client.screen) == kIdentity);
  }
}

TEST_CASE("server screen: alerts pass if they are alerts") {
  Client client(true);
  CHECK(client.send(wire::record(21, 0, 1, Bytes{2, 40})) == Verdict::Pass);
  CHECK(client.send(wire::record(21, 0, 2, Bytes{1, 0}, kDtls10)) == Verdict::Pass);
  CHECK(client.send(wire::record(21, 0, 3, Bytes{3, 0})) == Verdict::Drop);
  CHECK(client.send(wire::record(21, 0, 3, Bytes{2})) == Verdict::Drop);
  CHECK(client.send(wire::record(21, 0, 3, Bytes{2, 40, 0})) == Verdict::Drop);
}

TEST_CASE("server screen: under noise the bounds hold (seed 5)") {
  wire::Noise noise(5);
  const Bytes exchange = wire::message(16, 2, wire::pskBody(kIdentity));
  unsigned identities = 0;
  for (int round = 0; round < 5000; round++) {
    Client client(noise.below(2) == 0);
    client.hello();
    unsigned encrypted = 0, held = 0;
    for (int i = 0; i < 40; i++) {
      Bytes bytes;
      switch (noise.below(4)) {
        case 0:
          bytes = wire::record(22, 0, client.sequence++, noise.damaged(exchange));
          break;
        case 1:
          bytes = wire::record(20, 0, client.sequence++, kChangeCipherSpec);
          break;
        case 2:
          bytes = wire::record(22, 1, client.encrypted++, noise.bytes(40));
          break;
        default:
          bytes = noise.damaged(wire::record(22, 0, client.sequence++, exchange));
      }
      const wire::Exact copy(bytes);
      ByteView datagram = copy.view();
      while (const auto record = nextRecord(datagram)) {
        const Verdict verdict = client.screen.inspect(*record);
        encrypted += verdict != Verdict::Drop && record->epoch == 1;
        held += verdict == Verdict::Hold;
      }
    }
    REQUIRE(encrypted <= kMaxUnprovenRecords);
    REQUIRE(held <= kMaxHeldRecords);
    identities += client.screen.identity().has_value();
  }
  CHECK(identities > 0);
}
