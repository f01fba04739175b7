#include <doctest/doctest.h>

#include "record/handshake_screen.h"
#include "wire.h"

using namespace mcbn;

namespace {

const Bytes kHint = wire::text("a hint");

struct Server {
  explicit Server(bool hold = true) : screen(hold) {}

  Verdict send(const Bytes& bytes) {
    const wire::Exact copy(bytes);
    ByteView datagram = copy.view();
    const auto record = nextRecord(datagram);
    REQUIRE(record);
    return screen.inspect(*record);
  }
  Verdict handshake(const Bytes& fragments, uint16_t version = kDtls12) {
    return send(wire::record(content_type::kHandshake, 0, sequence++, fragments, version));
  }
  Verdict verifyRequest(uint16_t messageSequence = 0) {
    return handshake(wire::message(3, messageSequence, Bytes{0xFE, 0xFF, 2, 7, 7}), kDtls10);
  }
  Verdict hello(uint16_t messageSequence) {
    return handshake(wire::message(2, messageSequence, Bytes(70, 2)));
  }
  Verdict keyExchange(uint16_t messageSequence, const Bytes& hint = kHint) {
    return handshake(wire::message(12, messageSequence, wire::pskBody(hint)));
  }
  Verdict helloDone(uint16_t messageSequence) {
    return handshake(wire::message(14, messageSequence, {}));
  }
  std::string hint() const {
    const auto hint = screen.hint();
    return hint ? "hint:" + std::string(hint->begin(), hint->end()) : "unknown";
  }

  ClientScreen screen;
  uint64_t sequence = 0;
};

}  // namespace

TEST_CASE("client screen: drops every handshake message that PSK servers do not send") {
  for (int type = 0; type < 256; type++) {
    if (type == 2 || type == 3 || type == 12 || type == 14) continue;
    Server server;
    server.hello(0);
    CHECK(server.handshake(wire::message(static_cast<uint8_t>(type), 1, Bytes(4))) ==
          Verdict::Drop);
    CHECK(server.screen.dropReason() == DropReason::UnexpectedMessage);
  }
}

TEST_CASE("client screen: drops what is cut, oversized, out of order or of another version") {
  Server server;
  const Bytes hello = wire::message(2, 0, Bytes(70, 2));
  for (size_t cut = 0; cut < hello.size(); cut++) {
    CHECK(server.handshake(Bytes(hello.begin(), hello.begin() + cut)) == Verdict::Drop);
  }
  const Bytes large(kMaxServerMessageBytes + 1);
  for (const uint8_t type : {2, 12}) {
    CHECK(server.handshake(wire::fragment(type, type == 2 ? 0 : 1, large, 0, 20)) == Verdict::Drop);
    CHECK(server.screen.dropReason() == DropReason::Oversized);
  }
  CHECK(server.hello(1) == Verdict::Drop);
  CHECK(server.hello(0) == Verdict::Pass);
  CHECK(server.verifyRequest(0) == Verdict::Drop);
  CHECK(server.keyExchange(2) == Verdict::Drop);
  CHECK(server.helloDone(3) == Verdict::Drop);
  CHECK(server.handshake(wire::message(14, 1, Bytes(1))) == Verdict::Drop);
  CHECK(server.handshake(wire::message(14, 1, {}), kDtls10) == Verdict::Drop);
  CHECK(server.screen.dropReason() == DropReason::WrongVersion);
  CHECK(server.hint() == "unknown");
}

TEST_CASE("client screen: encrypted records before ChangeCipherSpec are few (CVE-2026-54874)") {
  Server server(false);
  unsigned passed = 0;
  for (uint64_t i = 0; i < 100; i++) {
    passed += server.send(wire::record(22, 1, i, Bytes(40))) == Verdict::Pass;
  }
  CHECK(passed == kMaxEarlyRecords);
  const Bytes ccs = {1};
  CHECK(server.send(wire::record(20, 0, server.sequence++, ccs)) == Verdict::Drop);
  server.hello(0);
  server.helloDone(1);
  CHECK(server.send(wire::record(20, 0, server.sequence++, ccs)) == Verdict::Pass);
  CHECK(server.send(wire::record(22, 1, 200, Bytes(40))) == Verdict::Pass);
}

TEST_CASE("client screen: follows a few HelloVerifyRequests, well formed and in order") {
  Server server;
  CHECK(server.handshake(wire::message(3, 0, Bytes{0xFE, 0xFF, 3, 7, 7})) == Verdict::Drop);
  CHECK(server.handshake(wire::message(3, 0, Bytes{0xFE, 0xFF, 1, 7, 7})) == Verdict::Drop);
  CHECK(server.handshake(wire::fragment(3, 0, Bytes{0xFE, 0xFF, 2, 7, 7}, 0, 4)) == Verdict::Drop);
  CHECK(server.verifyRequest(1) == Verdict::Drop);
  server.screen.followSeveral();
  for (uint16_t i = 0; i < kMaxHelloVerifyRequests; i++) {
    CHECK(server.verifyRequest(i) == Verdict::Pass);
    CHECK(server.verifyRequest(i) == Verdict::Drop);
  }
  CHECK(server.verifyRequest(kMaxHelloVerifyRequests) == Verdict::Drop);
  CHECK(server.screen.dropReason() == DropReason::Flood);
  CHECK(server.hello(kMaxHelloVerifyRequests) == Verdict::Pass);
}

TEST_CASE("client screen: follows one HelloVerifyRequest of which it does not know whose it is") {
  Server server;
  const auto withCookie = [&](uint16_t messageSequence, uint8_t cookie) {
    return server.handshake(wire::message(3, messageSequence, Bytes{0xFE, 0xFF, 1, cookie}),
                            kDtls10);
  };
  CHECK(withCookie(0, 7) == Verdict::Pass);
  CHECK(withCookie(1, 7) == Verdict::Drop);
  CHECK_FALSE(server.screen.otherCookie());
  for (const uint16_t messageSequence : {1, 0, 2}) {
    CHECK(withCookie(messageSequence, 8) == Verdict::Drop);
    CHECK(server.screen.otherCookie());
  }
  // One more, when the first had no answer.
  Server silent;
  silent.screen.followAnother();
  CHECK(silent.verifyRequest(0) == Verdict::Pass);
  CHECK(silent.verifyRequest(1) == Verdict::Drop);
  silent.screen.followAnother();
  CHECK(silent.verifyRequest(1) == Verdict::Pass);
  CHECK(silent.verifyRequest(2) == Verdict::Drop);
  // Also behind a ServerHelloDone that is not its server's.
  CHECK(server.helloDone(2) == Verdict::Hold);
  CHECK(withCookie(1, 8) == Verdict::Drop);
  CHECK(server.screen.otherCookie());
  CHECK(server.hello(1) == Verdict::Pass);
  CHECK(withCookie(1, 8) == Verdict::Drop);
  CHECK_FALSE(server.screen.otherCookie());
}

TEST_CASE("client screen: a HelloVerifyRequest behind part of the flight changes nothing") {
  Server done;
  CHECK(done.helloDone(1) == Verdict::Hold);
  CHECK(done.hint() == "hint:");
  CHECK(done.verifyRequest(0) == Verdict::Drop);
  CHECK(done.hint() == "hint:");
  Server exchanged;
  CHECK(exchanged.keyExchange(1) == Verdict::Pass);
  CHECK(exchanged.verifyRequest(0) == Verdict::Drop);
}

TEST_CASE("client screen: holds the ServerHelloDone; no key exchange means no hint") {
  Server server;
  CHECK(server.verifyRequest() == Verdict::Pass);
  CHECK(server.hello(1) == Verdict::Pass);
  CHECK(server.hint() == "unknown");
  CHECK(server.helloDone(2) == Verdict::Hold);
  CHECK(server.screen.holding());
  CHECK(server.hint() == "hint:");
  CHECK(server.helloDone(2) == Verdict::Drop);
  CHECK(server.screen.dropReason() == DropReason::Duplicate);
  // A key exchange with the number of the ServerHelloDone cannot be.
  CHECK(server.keyExchange(2) == Verdict::Drop);
  CHECK(server.screen.dropReason() == DropReason::Contradiction);
  server.screen.release();
  CHECK_FALSE(server.screen.holding());
  CHECK(server.helloDone(2) == Verdict::Pass);
  CHECK(server.screen.hint());
}

TEST_CASE(
    "client screen: a whole key exchange outweighs parts of another, which anybody can send") {
  Server server;
  const Bytes forged = wire::pskBody(wire::text("another and longer hint"));
  server.hello(0);
  CHECK(server.handshake(wire::fragment(12, 1, forged, 0, 5)) == Verdict::Pass);
  CHECK(server.keyExchange(1) == Verdict::Pass);
  CHECK(server.helloDone(2) == Verdict::Hold);
  CHECK(server.hint() == "hint:a hint");
}

TEST_CASE("client screen: waits for the key exchange that the ServerHelloDone overtook") {
  Server server;
  const Bytes body = wire::pskBody(kHint);
  server.hello(0);
  CHECK(server.helloDone(2) == Verdict::Hold);
  CHECK(server.hint() == "unknown");
  CHECK(server.handshake(wire::fragment(12, 1, body, 3, body.size() - 3)) == Verdict::Pass);
  CHECK(server.hint() == "unknown");
  CHECK(server.helloDone(1) == Verdict::Drop);
  CHECK(server.handshake(wire::fragment(12, 1, body, 0, 3)) == Verdict::Pass);
  CHECK(server.hint() == "hint:a hint");
}

TEST_CASE("client screen: takes a flight that shares one record; a bad part spoils the whole") {
  const Bytes flight =
      wire::joined({wire::message(2, 0, Bytes(70, 2)), wire::message(12, 1, wire::pskBody(kHint)),
                    wire::message(14, 2, {})});
  Server server;
  CHECK(server.handshake(wire::joined({flight, Bytes(3)})) == Verdict::Drop);
  CHECK(server.handshake(wire::joined({flight, wire::message(11, 3, Bytes(3))})) == Verdict::Drop);
  CHECK(server.hint() == "unknown");
  CHECK(server.keyExchange(1, wire::text("other")) == Verdict::Pass);
  CHECK(server.handshake(flight) == Verdict::Drop);
  CHECK(server.screen.dropReason() == DropReason::Contradiction);

  Server good;
  CHECK(good.handshake(flight) == Verdict::Hold);
  CHECK(good.hint() == "hint:a hint");
}

TEST_CASE("client screen: a malformed hint counts as none, OpenSSL answers it") {
  Server server;
  server.hello(0);
  server.handshake(wire::message(12, 1, Bytes{0, 9, 'x'}));
  CHECK(server.helloDone(2) == Verdict::Hold);
  CHECK(server.hint() == "hint:");
}

TEST_CASE("client screen: without holding everything passes, and the hint is known") {
  Server server(false);
  server.hello(0);
  CHECK(server.keyExchange(1) == Verdict::Pass);
  CHECK(server.helloDone(2) == Verdict::Pass);
  CHECK(server.hint() == "hint:a hint");
  CHECK_FALSE(server.screen.holding());
}
