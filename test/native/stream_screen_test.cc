#include "record/stream_screen.h"

#include <doctest/doctest.h>

#include "record/dtls_record.h"
#include "wire.h"

using namespace mcbn;
using Role = StreamScreen::Role;
using State = StreamScreen::State;
using Refusal = StreamScreen::Refusal;

namespace {

Bytes tlsRecord(uint8_t type, ByteView fragment, uint16_t version = 0x0303) {
  Bytes out;
  Writer(out).u8(type).u16(version).u16(fragment.size()).bytes(fragment);
  return out;
}

Bytes tlsMessage(uint8_t type, ByteView body) {
  Bytes out;
  Writer(out).u8(type).u24(body.size()).bytes(body);
  return out;
}

const Bytes kIdentity = {'a', 0, 'b'};
const Bytes kHello = tlsRecord(22, tlsMessage(1, Bytes(200, 1)), 0x0301);
const Bytes kKeyExchange = tlsRecord(22, tlsMessage(16, wire::pskBody(kIdentity)));
const Bytes kChangeCipherSpec = tlsRecord(20, Bytes{1});
const Bytes kEncrypted = tlsRecord(23, Bytes(64, 0xEE));

// A connection as the session keeps it: a buffer in, what reached OpenSSL out.
struct Stream {
  Stream(Role role, bool hold) : screen(role, hold) {}

  // False once the screen refuses.
  bool receive(ByteView bytes) {
    buffered.insert(buffered.end(), bytes.begin(), bytes.end());
    return drain();
  }
  bool drain() {
    const wire::Exact copy(buffered);
    const size_t count = screen.pass(copy.view());
    REQUIRE(count <= buffered.size());
    passed.insert(passed.end(), buffered.begin(), buffered.begin() + count);
    buffered.erase(buffered.begin(), buffered.begin() + count);
    return screen.state() != State::Refused;
  }

  StreamScreen screen;
  Bytes buffered;
  Bytes passed;
};

Bytes identityOf(const Stream& stream) {
  const auto identity = stream.screen.identity();
  return identity ? Bytes(identity->begin(), identity->end()) : wire::text("(none)");
}

}  // namespace

TEST_CASE("stream: other protocols are refused by their first bytes") {
  for (const char* first : {"GET / HTTP/1.1\r\n", "SSH-2.0-x\r\n", "\x80\x2e\x01", "\x16\x02"}) {
    Stream stream(Role::Server, true);
    CHECK_FALSE(stream.receive(wire::text(first)));
    CHECK(stream.screen.refusal() == Refusal::NotTls);
    CHECK(stream.passed.empty());
    stream.screen.release();  // does not bring it back
    CHECK_FALSE(stream.receive(kHello));
    CHECK(stream.passed.empty());
  }
}

TEST_CASE("stream: silly record lengths are refused by the header alone") {
  struct Case {
    uint8_t type;
    uint16_t length;
    bool good;
  };
  for (const Case& row : {Case{22, 16384, true},
                          {22, 16385, false},
                          {22, 65535, false},
                          {21, 16385, false},
                          {20, 16385, false},
                          {23, 16384 + 2048, true},
                          {23, 16384 + 2049, false}}) {
    Stream stream(Role::Server, true);
    Bytes header;
    Writer(header).u8(row.type).u16(0x0303).u16(row.length);
    CHECK(stream.receive(header) == row.good);
    CHECK(stream.screen.refusal() == (row.good ? Refusal::None : Refusal::RecordLength));
  }
  Stream empty(Role::Server, true);
  CHECK_FALSE(empty.receive(tlsRecord(22, {})));
  CHECK(empty.screen.refusal() == Refusal::RecordLength);
}

TEST_CASE("stream: a message that announces too much never reaches OpenSSL (HollowByte)") {
  for (const uint32_t length : {16385u, 131396u, 0xFFFFFFu}) {
    for (int type = 0; type < 256; type++) {
      Stream stream(Role::Server, true);
      Bytes header;
      Writer(header).u8(static_cast<uint8_t>(type)).u24(length);
      if (type == 1 && length <= kMaxTlsClientHelloBytes) continue;  // see below
      CHECK_FALSE(stream.receive(tlsRecord(22, header)));
      CHECK(stream.screen.refusal() == Refusal::MessageLength);
      CHECK(stream.passed.empty());
    }
  }
  // Also with its header cut over records, of which those that say nothing yet may pass.
  Stream cut(Role::Server, true);
  CHECK(cut.receive(tlsRecord(22, Bytes{1, 2})));
  CHECK_FALSE(cut.receive(tlsRecord(22, Bytes{0, 0})));
  CHECK(cut.passed.size() == 7);
  // And where a second hello in the clear follows what looks like the end of the plaintext.
  for (const Bytes& between : {kChangeCipherSpec, kEncrypted, tlsRecord(21, Bytes{1, 90})}) {
    Stream retried(Role::Server, true);
    CHECK(retried.receive(wire::joined({kHello, between})));
    CHECK_FALSE(retried.receive(tlsRecord(22, Bytes{1, 2, 0, 0})));
    CHECK(retried.screen.refusal() == Refusal::MessageLength);
  }
  Stream longExchange(Role::Server, true);
  CHECK_FALSE(longExchange.receive(tlsRecord(22, Bytes{16, 0, 0x10, 1})));
}

TEST_CASE("stream: a ClientHello of 16 KB over many records passes") {
  const Bytes hello = tlsMessage(1, Bytes(16384, 3));
  Stream stream(Role::Server, true);
  for (size_t at = 0; at < hello.size(); at += 1000) {
    const size_t size = std::min<size_t>(1000, hello.size() - at);
    CHECK(stream.receive(tlsRecord(22, ByteView(hello).subspan(at, size))));
  }
  CHECK(stream.buffered.empty());
}

TEST_CASE("stream: a longer ClientHello reaches OpenSSL only when all of it has come") {
  // Identities of TLS 1.3 can be long (RFC 8446 4.2.11). Announced and never sent, nothing passes.
  for (const size_t length : {size_t{16385}, size_t{65535}, kMaxTlsClientHelloBytes}) {
    const Bytes hello = tlsMessage(1, Bytes(length, 3));
    Stream stream(Role::Server, true);
    for (size_t at = 0; at < hello.size(); at += 1000) {
      CHECK(stream.passed.empty());
      const size_t size = std::min<size_t>(1000, hello.size() - at);
      CHECK(stream.receive(tlsRecord(22, ByteView(hello).subspan(at, size))));
    }
    CHECK(stream.buffered.empty());
    // The message behind it passes as ever.
    CHECK(stream.receive(kHello));
    CHECK(stream.buffered.empty());
  }
  Stream tooLong(Role::Server, true);
  CHECK_FALSE(tooLong.receive(tlsRecord(22, Bytes{1, 0x01, 0x20, 0x01})));  // 72 KB and one byte
  // No server sends such a hello.
  Stream client(Role::Client, true);
  CHECK_FALSE(client.receive(tlsRecord(22, Bytes{1, 0, 0x40, 1})));
}

TEST_CASE("stream: the server's hold starts at the record that completes the key exchange") {
  const Bytes all = wire::joined({kHello, kKeyExchange, kChangeCipherSpec, kEncrypted});
  // Byte by byte, and all at once.
  for (const size_t step : {size_t{1}, size_t{7}, all.size()}) {
    Stream stream(Role::Server, true);
    for (size_t at = 0; at < all.size(); at += step) {
      CHECK(stream.receive(ByteView(all).subspan(at, std::min(step, all.size() - at))));
    }
    CHECK(stream.passed == kHello);
    CHECK(stream.screen.holding());
    CHECK(identityOf(stream) == kIdentity);
    stream.screen.release();
    stream.drain();
    CHECK(stream.passed == all);
    CHECK(stream.screen.state() == State::Transparent);
    CHECK(identityOf(stream) == kIdentity);
  }
}

TEST_CASE("stream: a key exchange cut over records, with a warning between, is still held") {
  const Bytes exchange = tlsMessage(16, wire::pskBody(kIdentity));
  const Bytes warning = tlsRecord(21, Bytes{1, 90});
  for (size_t cut = 1; cut < exchange.size(); cut++) {
    Stream stream(Role::Server, true);
    const Bytes first =
        wire::joined({kHello, tlsRecord(22, ByteView(exchange).first(cut)), warning});
    CHECK(stream.receive(first));
    CHECK(stream.passed == first);
    CHECK_FALSE(stream.screen.identity());
    CHECK(stream.receive(tlsRecord(22, ByteView(exchange).subspan(cut))));
    CHECK(stream.passed == first);
    CHECK(stream.screen.holding());
    CHECK(identityOf(stream) == kIdentity);
  }
}

TEST_CASE("stream: messages that share a record are all seen") {
  const Bytes both = tlsRecord(
      22, wire::joined({tlsMessage(1, Bytes(50, 1)), tlsMessage(16, wire::pskBody(kIdentity))}));
  Stream stream(Role::Server, true);
  CHECK(stream.receive(both));
  CHECK(stream.passed.empty());
  CHECK(identityOf(stream) == kIdentity);
}

TEST_CASE("stream: of two key exchanges the first counts, as it does for OpenSSL") {
  const Bytes first = tlsMessage(16, wire::pskBody(kIdentity));
  for (const Bytes& second :
       {tlsMessage(16, wire::pskBody(wire::text("other"))), tlsMessage(16, {})}) {
    Stream stream(Role::Server, true);
    CHECK(stream.receive(wire::joined({kHello, tlsRecord(22, wire::joined({first, second}))})));
    CHECK(stream.screen.holding());
    CHECK(identityOf(stream) == kIdentity);
  }
}

TEST_CASE("stream: does not hold an identity that OpenSSL refuses without asking") {
  for (const Bytes& body : {wire::pskBody(Bytes(257, 'x')), Bytes{0, 9, 'a'}, Bytes()}) {
    Stream stream(Role::Server, true);
    CHECK(stream.receive(wire::joined({kHello, tlsRecord(22, tlsMessage(16, body))})));
    CHECK_FALSE(stream.screen.holding());
    CHECK_FALSE(stream.screen.identity());
    CHECK(stream.buffered.empty());
  }
}

TEST_CASE("stream: without holding, the ChangeCipherSpec behind the key exchange ends the screen") {
  Stream stream(Role::Server, false);
  const Bytes finished = tlsRecord(22, Bytes(40, 0xFF));  // encrypted: no message header inside
  const Bytes all = wire::joined({kHello, kKeyExchange, kChangeCipherSpec, finished});
  CHECK(stream.receive(all));
  CHECK(stream.passed == all);
  CHECK(stream.screen.state() == State::Transparent);
  CHECK(identityOf(stream) == kIdentity);
}

TEST_CASE("stream: TLS 1.3 passes on both sides and is transparent when it is over") {
  Stream server(Role::Server, true);
  const Bytes flights = wire::joined({kHello, kChangeCipherSpec, kHello, kEncrypted, kEncrypted});
  CHECK(server.receive(flights));
  CHECK(server.passed == flights);
  CHECK(server.screen.state() == State::Screening);
  server.screen.established();
  CHECK(server.screen.state() == State::Transparent);
  CHECK(server.receive(Bytes{1, 2, 3}));
  CHECK(server.buffered.empty());

  Stream client(Role::Client, true);
  const Bytes hello = tlsRecord(22, tlsMessage(2, Bytes(90, 2)));
  const Bytes answer = wire::joined({hello, kChangeCipherSpec, hello, kEncrypted});
  CHECK(client.receive(answer));
  CHECK(client.passed == answer);
  CHECK(client.screen.state() == State::Transparent);
  CHECK_FALSE(client.screen.hint());
}

TEST_CASE("stream: the client's hold starts at the ServerHelloDone, with the hint") {
  const Bytes hello = tlsRecord(22, tlsMessage(2, Bytes(70, 2)));
  const Bytes exchange = tlsRecord(22, tlsMessage(12, wire::pskBody(wire::text("hint"))));
  const Bytes done = tlsRecord(22, tlsMessage(14, {}));

  Stream hinted(Role::Client, true);
  CHECK(hinted.receive(wire::joined({hello, exchange, done})));
  CHECK(hinted.passed == wire::joined({hello, exchange}));
  CHECK(hinted.screen.holding());
  REQUIRE(hinted.screen.hint());
  CHECK(std::string(hinted.screen.hint()->begin(), hinted.screen.hint()->end()) == "hint");
  CHECK_FALSE(hinted.screen.identity());

  Stream plain(Role::Client, true);
  CHECK(plain.receive(wire::joined({hello, done})));
  CHECK(plain.passed == hello);
  REQUIRE(plain.screen.hint());
  CHECK(plain.screen.hint()->empty());
  plain.screen.release();
  plain.drain();
  CHECK(plain.buffered.empty());

  Stream oneRecord(Role::Client, true);
  CHECK(oneRecord.receive(
      tlsRecord(22, wire::joined({tlsMessage(2, Bytes(70)), tlsMessage(14, {})}))));
  CHECK(oneRecord.passed.empty());
  CHECK(oneRecord.screen.holding());
}

TEST_CASE("stream: however the bytes are cut, the same ones pass (seed 6)") {
  wire::Noise noise(6);
  unsigned refused = 0, held = 0;
  for (int round = 0; round < 4000; round++) {
    const Bytes all =
        noise.damaged(wire::joined({kHello, kKeyExchange, kChangeCipherSpec, kEncrypted}));
    const Role role = noise.below(4) == 0 ? Role::Client : Role::Server;
    Stream whole(role, true), cut(role, true);
    whole.receive(all);
    for (size_t at = 0; at < all.size() && cut.screen.state() != State::Refused;) {
      const size_t size = std::min(all.size() - at, 1 + noise.below(40));
      cut.receive(ByteView(all).subspan(at, size));
      at += size;
      REQUIRE(cut.buffered.size() <= kMaxRecordFragmentBytes + 45);
    }
    REQUIRE(whole.passed == cut.passed);
    REQUIRE(whole.screen.state() == cut.screen.state());
    refused += whole.screen.state() == State::Refused;
    held += whole.screen.holding();
  }
  CHECK(refused > 0);
  CHECK(held > 0);
}
