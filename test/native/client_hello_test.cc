#include <doctest/doctest.h>

#include "record/dtls_client_hello.h"
#include "record/hello_verify_request.h"
#include "wire.h"

using namespace mcbn;

namespace {

constexpr size_t kBodyStart = kDtlsRecordHeaderBytes + kDtlsHandshakeHeaderBytes;

wire::HelloParts partsWithCookie() {
  wire::HelloParts parts;
  parts.sessionId = Bytes(32, 0x22);
  parts.cookie = Bytes(32, 0x33);
  return parts;
}

// A hello whose record holds only the first `size` bytes of the message.
Bytes firstFragment(const Bytes& body, size_t size) {
  return wire::record(content_type::kHandshake, 0, 4,
                      wire::fragment(handshake_type::kClientHello, 1, body, 0, size), kDtls10);
}

}  // namespace

TEST_CASE("hello: cut at any byte it is refused") {
  const Bytes whole = wire::clientHello(partsWithCookie());
  for (size_t cut = 0; cut < whole.size(); cut++) {
    const wire::Exact part(ByteView(whole).first(cut));
    CHECK_FALSE(parseClientHello(part.view()));
  }
  CHECK(parseClientHello(whole));
}

TEST_CASE("hello: a length changed anywhere is refused or leaves every view inside (seed 2)") {
  wire::Noise noise(2);
  const Bytes whole = wire::clientHello(partsWithCookie());
  size_t accepted = 0;
  for (int round = 0; round < 50000; round++) {
    const wire::Exact bytes(noise.damaged(whole));
    const auto hello = parseClientHello(bytes.view());
    if (!hello) continue;
    accepted++;
    REQUIRE(hello->random.size() == 32);
    REQUIRE(hello->sessionId.size() <= 32);
    const uint8_t* end = bytes.view().data() + bytes.view().size();
    REQUIRE(hello->cookie.data() + hello->cookie.size() <= end);
  }
  CHECK(accepted > 0);
}

TEST_CASE("hello: other epochs, types, messages, versions and sizes are refused") {
  const Bytes body = wire::clientHelloBody();
  const Bytes message = wire::message(handshake_type::kClientHello, 0, body);
  CHECK(parseClientHello(wire::record(22, 0, 0, message)));
  CHECK_FALSE(parseClientHello(wire::record(22, 1, 0, message)));
  CHECK_FALSE(parseClientHello(wire::record(23, 0, 0, message)));
  CHECK_FALSE(parseClientHello(
      wire::record(22, 0, 0, wire::message(handshake_type::kServerHello, 0, body))));
  CHECK_FALSE(parseClientHello(wire::record(22, 0, 0, wire::fragment(1, 0, body, 1, 60))));

  wire::HelloParts tls;
  tls.version = 0x0303;
  CHECK_FALSE(parseClientHello(wire::clientHello(tls)));
  wire::HelloParts longId;
  longId.sessionId = Bytes(33);
  CHECK_FALSE(parseClientHello(wire::clientHello(longId)));
  wire::HelloParts huge;
  huge.extensions = wire::joined({Bytes{0, 21, 0x10, 0}, Bytes(4096)});
  CHECK_FALSE(parseClientHello(wire::clientHello(huge)));
}

TEST_CASE("hello: what follows the cookie is checked when it is there") {
  const Bytes good = wire::clientHelloBody();
  const size_t suites = 2 + 32 + 1 + 1;
  const auto with = [&](size_t at, uint8_t value) {
    Bytes body = good;
    body[at] = value;
    return wire::record(22, 0, 0, wire::message(1, 0, body));
  };
  CHECK(parseClientHello(with(suites + 1, 2)));
  CHECK_FALSE(parseClientHello(with(suites + 1, 0)));  // no cipher suite
  CHECK_FALSE(parseClientHello(with(suites + 1, 3)));  // half a cipher suite
  CHECK_FALSE(parseClientHello(with(suites + 4, 0)));  // no compression method
  CHECK_FALSE(parseClientHello(with(suites + 7, 9)));  // extensions beyond the end
  CHECK_FALSE(parseClientHello(with(suites + 7, 3)));  // and short of it
  Bytes bare(good.begin(), good.end() - 6);            // no extensions at all: allowed
  CHECK(parseClientHello(wire::record(22, 0, 0, wire::message(1, 0, bare))));
}

TEST_CASE("hello: a first fragment is enough once it reaches through the cookie") {
  const Bytes body = wire::clientHelloBody(partsWithCookie());
  const size_t throughCookie = 2 + 32 + 33 + 33;
  for (size_t size = 1; size < body.size(); size++) {
    const Bytes datagram = firstFragment(body, size);
    const auto hello = parseClientHello(datagram);
    CHECK(hello.has_value() == (size >= throughCookie));
    if (!hello) continue;
    CHECK(hello->fragmented);
    CHECK(hello->recordSequence == 4);
    CHECK(hello->messageSequence == 1);
    CHECK(hello->cookie.size() == 32);
    CHECK(hello->cookie[31] == 0x33);
  }
  const auto whole = parseClientHello(firstFragment(body, body.size()));
  REQUIRE(whole);
  CHECK_FALSE(whole->fragmented);
}

TEST_CASE("hello verify request: wire form (RFC 6347 4.2.1)") {
  const Bytes bytes = wire::clientHello({}, 0, 0x0A0B0C0D0E0F);
  const auto hello = parseClientHello(bytes);
  REQUIRE(hello);
  Cookie cookie;
  cookie.fill(0x44);
  const HelloVerifyRequest reply = helloVerifyRequest(*hello, cookie);
  const Bytes expected = wire::joined({
      {22, 0xFE, 0xFF, 0, 0, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F, 0, 47},
      {3, 0, 0, 35, 0, 0, 0, 0, 0, 0, 0, 35},
      {0xFE, 0xFF, 32},
      Bytes(32, 0x44),
  });
  CHECK(Bytes(reply.begin(), reply.end()) == expected);
}

TEST_CASE("hello verify request: never longer than the shortest hello that asks for it") {
  const Bytes body = wire::clientHelloBody();
  const size_t shortest = 2 + 32 + 1 + 1;
  const Bytes asking = firstFragment(body, shortest);
  REQUIRE(parseClientHello(asking));
  CHECK(asking.size() == kBodyStart + shortest);
  CHECK(kHelloVerifyRequestBytes <= asking.size());
  CHECK_FALSE(parseClientHello(firstFragment(body, shortest - 1)));
}
