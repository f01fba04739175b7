// What strangers can do to two DtlsSessions in the middle of their handshake: nothing.
#include <doctest/doctest.h>

#include "dtls_pair.h"
#include "foreign_cookie.h"
#include "record/handshake_fragment.h"
#include "record/handshake_screen.h"
#include "wire.h"

using namespace mcbn;

namespace {

// The records of the client's last flight, which the server has not got yet.
std::vector<Bytes> lastFlightOf(DtlsPair& pair) {
  for (;;) {
    std::vector<Bytes> records;
    bool last = false;
    for (const Bytes& datagram : pair.at_client.outgoing) {
      ByteView rest(datagram);
      while (const auto record = nextRecord(rest)) {
        last = last || record->epoch > 0;
        const bool exchange = record->epoch > 0 ||
                              record->type == content_type::kChangeCipherSpec ||
                              record->fragment[0] == handshake_type::kClientKeyExchange;
        if (exchange) records.emplace_back(record->whole.begin(), record->whole.end());
      }
    }
    if (last) {
      pair.at_client.outgoing.clear();
      return records;
    }
    REQUIRE(pair.carryOne(steadyNow(), [](Bytes&) { return true; }));
  }
}

Bytes forgedRecord(uint8_t type, uint16_t epoch, uint64_t number, size_t length) {
  return wire::record(type, epoch, number, Bytes(length, 0x5a));
}

}  // namespace

TEST_CASE(
    "dtls session: a client that followed a stranger's HelloVerifyRequest finds its server all the "
    "same (RFC 6347 section 4.2.1)") {
  for (const bool asks : {false, true}) {
    DtlsPair pair({.client_asks = asks});
    pair.connect(steadyNow());
    const auto hello = parseClientHello(pair.at_client.sent[0]);
    REQUIRE(hello);
    Cookie foreign;
    foreign.fill(0xee);
    const HelloVerifyRequest forged = helloVerifyRequest(*hello, foreign);
    pair.toClient(Bytes(forged.begin(), forged.end()), steadyNow());
    pair.run([&](Bytes& datagram) {
      // As the endpoint does: a cookie that is not its own is answered with one that is.
      const auto again = parseClientHello(datagram);
      if (again && std::ranges::equal(again->cookie, foreign)) {
        const HelloVerifyRequest answer = helloVerifyRequest(*again, Cookie{});
        pair.at_server.outgoing.emplace_back(answer.begin(), answer.end());
        return false;
      }
      if (!pair.at_client.questions.empty()) {
        pair.client->answer(pair.at_client.questions.back().number, answerWith(0x42, "Client1"), {},
                            steadyNow(), pair.at_client);
        pair.at_client.questions.clear();
      }
      return true;
    });
    if (asks && !pair.at_client.questions.empty()) {
      pair.client->answer(pair.at_client.questions.back().number, answerWith(0x42, "Client1"), {},
                          steadyNow(), pair.at_client);
      pair.run();
    }
    REQUIRE(pair.bothOpen());
    exchangeMessages(pair);
  }
}

TEST_CASE("dtls session: a stranger's cookie behind the server's own leads no client away") {
  DtlsPair pair;
  const Milliseconds now = steadyNow();
  pair.connect(now);
  // Until the client has followed the server's HelloVerifyRequest.
  const size_t hello = pair.at_client.sent.size();
  while (pair.at_client.sent.size() == hello) {
    REQUIRE(pair.carryOne(now, [](Bytes&) { return true; }));
  }
  for (const uint16_t sequence : {1, 2, 0, 1}) {
    pair.toClient(foreignVerifyRequest(sequence), now);
    for (const Bytes& sent : pair.at_client.sent) {
      const auto hello = parseClientHello(sent);
      CHECK_FALSE((hello && std::ranges::equal(hello->cookie, kForeignCookie)));
    }
  }
  // No time passes: nothing has to be repeated.
  while (pair.carryOne(now, [](Bytes&) { return true; })) continue;
  REQUIRE(pair.bothOpen());
  exchangeMessages(pair);
}

TEST_CASE("dtls session: a stranger's ServerHelloDone takes no guarded handshake away") {
  DtlsPair pair;
  const Milliseconds now = steadyNow();
  pair.connect(now);
  pair.toClient(foreignVerifyRequest(0), now);
  // The second cookie: from now on there is a guarded handshake.
  pair.toClient(foreignVerifyRequest(1), now);
  pair.toClient(wire::record(content_type::kHandshake, 0, 9,
                             wire::message(handshake_type::kServerHelloDone, 2, {})),
                now);
  while (pair.carryOne(now, [&](Bytes& datagram) {
    // The server's endpoint begins nothing for a cookie that is not its own.
    const auto hello = parseClientHello(datagram);
    return !hello || !std::ranges::equal(hello->cookie, kForeignCookie);
  })) {
  }
  REQUIRE(pair.bothOpen());
  exchangeMessages(pair);
}

TEST_CASE(
    "dtls session: keys are logged as wanted, also of a handshake that goes on in its place") {
  for (const bool wanted : {false, true}) {
    CAPTURE(wanted);
    // Said after each datagram, until the server has taken a hello: before and after there is a guarded handshake.
    unsigned said = 0;
    for (bool begun = false; !begun; ++said) {
      CAPTURE(said);
      DtlsOptions dtls = dtlsOptions(400, 10'000, 10);
      dtls.keylog = !wanted;
      DtlsPair pair({.dtls = dtls});
      const Milliseconds now = steadyNow();
      pair.connect(now);
      pair.toClient(foreignVerifyRequest(0), now);
      pair.toClient(foreignVerifyRequest(1), now);
      const auto passes = [](const Bytes& datagram) {
        const auto hello = parseClientHello(datagram);
        return !hello || !std::ranges::equal(hello->cookie, kForeignCookie);
      };
      for (unsigned carried = 0; carried < said; ++carried) REQUIRE(pair.carryOne(now, passes));
      begun = pair.server != nullptr;
      pair.client->setKeylog(wanted);
      while (pair.carryOne(now, passes)) continue;
      REQUIRE(pair.bothOpen());
      CHECK(pair.at_client.lines.size() == (wanted ? 1 : 0));
    }
    CHECK(said > 3);
  }
}

TEST_CASE("dtls session: one forged record of epoch 1 before a late Finished calls no key wrong") {
  for (const uint64_t number : {uint64_t{0}, uint64_t{7}, (uint64_t{1} << 48) - 1}) {
    CAPTURE(number);
    DtlsPair pair({.ciphers = "PSK-AES128-GCM-SHA256", .dtls = dtlsOptions(400, 10'000, 5'000)});
    pair.connect(steadyNow());
    const std::vector<Bytes> records = lastFlightOf(pair);
    CAPTURE(records.size());
    REQUIRE(records.size() == 3);
    const Milliseconds now = steadyNow();
    pair.toServer(records[0], now);
    pair.toServer(forgedRecord(content_type::kHandshake, 1, number, 40), now);
    pair.toServer(records[1], now);
    // More than the screen lets pass at once, too.
    for (uint64_t i = 0; i < 30; ++i) {
      pair.toServer(forgedRecord(content_type::kHandshake, 1, number + i, 40), now);
    }
    const Milliseconds late = now + 1'200;  // the client has repeated itself once
    if (pair.server->deadline() <= late) pair.server->expire(late, pair.at_server);
    REQUIRE(pair.server->state() == DtlsSession::State::Handshaking);
    pair.toServer(records[2], late);
    CHECK(pair.server->open());
    CHECK(pair.at_server.endings.empty());
  }
}

TEST_CASE("dtls session: a forged record before ChangeCipherSpec begins no doubt of the key") {
  DtlsPair pair({.ciphers = "PSK-AES128-GCM-SHA256", .dtls = dtlsOptions(400, 10'000, 5'000)});
  pair.connect(steadyNow());
  const std::vector<Bytes> records = lastFlightOf(pair);
  REQUIRE(records.size() == 3);
  const Milliseconds now = steadyNow();
  pair.toServer(records[0], now);
  pair.toServer(forgedRecord(content_type::kHandshake, 1, 0, 40), now);
  const Milliseconds late = now + 3'000;
  if (pair.server->deadline() <= late) pair.server->expire(late, pair.at_server);
  REQUIRE(pair.server->state() == DtlsSession::State::Handshaking);
  pair.toServer(records[1], late);
  pair.toServer(records[2], late);
  CHECK(pair.server->open());
}

TEST_CASE(
    "dtls session: once a part of the Finished has proved the key, no forged record makes it "
    "wrong, however "
    "late the rest is") {
  // CoAP's times: the client repeats nothing for longer than a server doubts. Which length of the identity
  // divides a Finished into two records depends on the release of OpenSSL.
  bool divided = false;
  for (size_t length = 1; length < 160 && !divided; ++length) {
    CAPTURE(length);
    DtlsPair pair({.ciphers = "DHE-PSK-CHACHA20-POLY1305",
                   .dtls = dtlsOptions(256, 90'000, 9'000),
                   .identity = std::string(length, 'x')});
    const Milliseconds now = steadyNow();
    pair.connect(now);
    std::vector<Bytes> clear, encrypted;
    for (const Bytes& record : lastFlightOf(pair)) {
      ByteView rest(record);
      (nextRecord(rest)->epoch > 0 ? encrypted : clear).push_back(record);
    }
    if (encrypted.size() != 2) continue;
    divided = true;
    for (const Bytes& record : clear) pair.toServer(record, now);
    pair.toServer(encrypted[0], now);
    pair.toServer(forgedRecord(content_type::kHandshake, 1, 7, 40), now);
    const Milliseconds late = now + 8'000;
    if (pair.server->deadline() <= late) pair.server->expire(late, pair.at_server);
    REQUIRE(pair.server->state() == DtlsSession::State::Handshaking);
    pair.toServer(encrypted[1], late);
    CHECK(pair.server->open());
  }
  CHECK(divided);
}

TEST_CASE("dtls session: a Finished behind a flood of forged ones is taken at once") {
  for (const char* cipher : {"PSK-AES128-GCM-SHA256", "PSK-AES128-CCM8", "PSK-CHACHA20-POLY1305"}) {
    CAPTURE(cipher);
    DtlsPair pair({.ciphers = cipher, .dtls = dtlsOptions(400, 10'000, 5'000)});
    pair.connect(steadyNow());
    const std::vector<Bytes> records = lastFlightOf(pair);
    REQUIRE(records.size() == 3);
    const Milliseconds now = steadyNow();
    const auto flood = [&] {
      for (uint64_t i = 0; i < 2 * kMaxUnprovenRecords; ++i) {
        pair.toServer(forgedRecord(content_type::kHandshake, 1, i, 40), now);
      }
    };
    pair.toServer(records[0], now);
    flood();
    pair.toServer(records[1], now);
    flood();
    pair.toServer(records[2], now);
    CHECK(pair.server->open());
    CHECK(pair.at_server.endings.empty());
  }
}

TEST_CASE("dtls session: a forged record from far ahead closes the handshake to nobody") {
  for (const bool to_server : {false, true}) {
    CAPTURE(to_server);
    DtlsPair pair({.hint = "hint"});
    pair.connect(steadyNow());
    bool forged = false;
    pair.run([&](Bytes& datagram) {
      for (ByteView rest(datagram); !forged;) {
        const auto record = nextRecord(rest);
        if (!record || record->epoch != 0 || record->type != content_type::kHandshake) break;
        Reader reader(record->fragment);
        const auto real = nextFragment(reader);
        const uint8_t type =
            to_server ? handshake_type::kClientKeyExchange : handshake_type::kServerHello;
        if (!real || real->type != type || real->offset != 0) continue;
        forged = true;
        // The message that is due, and so little of it that OpenSSL takes it: nothing but its number harms.
        Bytes part;
        Writer(part).u8(type).u24(real->length).u16(real->messageSequence).u24(0).u24(1);
        part.push_back(real->body[0]);
        const Bytes leap = wire::record(content_type::kHandshake, 0, (uint64_t{1} << 48) - 1, part);
        to_server ? pair.toServer(leap, steadyNow()) : pair.toClient(leap, steadyNow());
      }
      return true;
    });
    CHECK(forged);
    REQUIRE(pair.bothOpen());
    exchangeMessages(pair);
  }
}

TEST_CASE(
    "dtls session: a part of another ServerKeyExchange before the server's own stops no client "
    "that "
    "needs its hint") {
  DtlsPair pair({.hint = "hint", .client_asks = true});
  const Milliseconds now = steadyNow();
  pair.connect(now);
  bool forged = false;
  while (pair.carryOne(now, [&](Bytes& datagram) {
    ByteView rest(datagram);
    const auto record = nextRecord(rest);
    const bool hello = record && record->type == content_type::kHandshake &&
                       record->fragment[0] == handshake_type::kServerHello;
    if (!hello || forged) return true;
    forged = true;
    const Bytes body = wire::pskBody(wire::text("another and longer hint"));
    pair.toClient(wire::record(content_type::kHandshake, 0, 77,
                               wire::fragment(handshake_type::kServerKeyExchange, 2, body, 0, 5)),
                  now);
    return true;
  })) {
  }
  REQUIRE(forged);
  REQUIRE(pair.at_client.questions.size() == 1);
  CHECK(pair.at_client.questions[0].hint == "hint");
}

TEST_CASE("dtls session: a forged alert ends no handshake whose answer takes 400 ms") {
  DtlsPair pair({.dtls = dtlsOptions(400, 10'000, 0)});
  Milliseconds now = 1'000'000;
  pair.connect(now);
  // Every flight takes 400 ms each way; after each a stranger sends a fatal alert to both.
  for (unsigned flight = 0; flight < 8 && !pair.bothOpen(); ++flight) {
    const Bytes alert =
        plaintextAlert(kDtls12, 900 + flight, alert::kFatal, alert::kHandshakeFailure);
    pair.toClient(alert, now);
    if (pair.server) pair.toServer(alert, now);
    std::deque<Bytes> to_server = std::exchange(pair.at_client.outgoing, {});
    std::deque<Bytes> to_client = std::exchange(pair.at_server.outgoing, {});
    now += 400;
    for (DtlsSession* side : {pair.client.get(), pair.server.get()}) {
      if (!side || side->deadline() > now) continue;
      side->expire(now, side == pair.client.get() ? pair.at_client : pair.at_server);
      REQUIRE(side->state() != DtlsSession::State::Ended);
    }
    for (const Bytes& datagram : to_server) pair.toServer(datagram, now);
    for (const Bytes& datagram : to_client) pair.toClient(datagram, now);
  }
  CHECK(pair.bothOpen());
}
