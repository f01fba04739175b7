// What a client of both versions of DTLS makes of datagrams and failures, without any session.
#include "engine/version_choice.h"

#include <doctest/doctest.h>

#include "wire.h"

using namespace mcbn;

namespace {

Bytes helloOf(uint16_t suite) {
  Bytes body;
  Writer(body).u16(kDtls12).bytes(Bytes(32, 1)).u8(0).u16(suite).u8(0);
  return wire::record(content_type::kHandshake, 0, 0,
                      wire::message(handshake_type::kServerHello, 0, body));
}
Bytes olderHello() { return helloOf(0x00a8); }
Bytes newerHello() { return helloOf(0x1301); }

}  // namespace

TEST_CASE("version choice: what is for which handshake, and when both have failed") {
  using For = VersionChoice::For;
  VersionChoice choice;
  CHECK(choice.route(Bytes{0x2f, 0, 0}) == For::Newer);
  CHECK(choice.route(Bytes{0xff}) == For::Older);
  CHECK(choice.route(wire::record(content_type::kAck, 0, 0, Bytes(2))) == For::Newer);
  CHECK(choice.route(wire::record(content_type::kTls12Cid, 1, 0, Bytes(20))) == For::Older);
  const auto alertAt = [](uint8_t level, uint8_t description) {
    return plaintextAlert(kDtls12, 0, level, description);
  };
  CHECK(choice.route(alertAt(alert::kWarning, alert::kHandshakeFailure)) == For::Both);
  CHECK(choice.route(alertAt(alert::kFatal, alert::kUnknownPskIdentity)) == For::Both);
  CHECK_FALSE(choice.wantsOlder());
  Bytes body;
  Writer(body).u16(kDtls12).bytes(Bytes(32, 1)).u8(0).u16(0x1301).u8(0).bytes(Bytes(900));
  const auto piece = [&](size_t at, size_t size) {
    return wire::record(content_type::kHandshake, 0, 0,
                        wire::fragment(handshake_type::kServerHello, 0, body, at, size));
  };
  CHECK(choice.route(piece(0, 100)) == For::Newer);
  CHECK(choice.route(piece(100, 800)) == For::Newer);
  choice.repeated(2);
  CHECK_FALSE(choice.wantsOlder());
  CHECK(choice.route(olderHello()) == For::Older);
  CHECK(choice.wantsOlder());
  choice.olderBegins();
  CHECK_FALSE(choice.wantsOlder());
  CHECK(choice.route(piece(100, 800)) == For::Older);
  CHECK(choice.route(piece(0, 20)) == For::Older);
  // DTLS 1.3 was heard: that DTLS 1.2 is refused decides nothing.
  CHECK_FALSE(
      choice.olderFailed({.code = "MCBN_HANDSHAKE_FAILED", .alert = alert::kProtocolVersion}));
  const auto failure = choice.newerFailed({.code = "MCBN_PSK_MISMATCH"});
  REQUIRE(failure);
  CHECK(std::string(failure->code) == "MCBN_PSK_MISMATCH");
}

TEST_CASE("version choice: a message of DTLS 1.3 may be a stranger's: DTLS 1.2 is tried in time") {
  VersionChoice choice;
  CHECK(choice.route(newerHello()) == VersionChoice::For::Newer);
  unsigned waited = 0;  // ms
  for (unsigned times = 0; !choice.wantsOlder(); choice.repeated(++times)) waited += 1'000 << times;
  CHECK(waited == 7'000);
}
