// Two DtlsSessions against each other: no socket, and no clock but where OpenSSL insists on its
// own.
#include "session/dtls_session.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <utility>

#include "dtls_pair.h"
#include "wire.h"

using namespace mcbn;
using wire::Noise;

namespace {

const Bytes kHello = wire::text("hello");

}  // namespace

TEST_CASE("dtls session: opens and carries messages with every kind of suite") {
  for (const char* ciphers :
       {"PSK-AES128-GCM-SHA256", "PSK-AES128-CCM8", "PSK-CHACHA20-POLY1305",
        "DHE-PSK-AES128-GCM-SHA256", "ECDHE-PSK-CHACHA20-POLY1305", "PSK-AES128-CBC-SHA256"}) {
    CAPTURE(ciphers);
    DtlsPair pair({.ciphers = ciphers});
    pair.connect(steadyNow());
    pair.run();
    REQUIRE(pair.bothOpen());
    CHECK(pair.at_server.opens[0].identity == "Client1");
    CHECK(pair.at_server.opens[0].cipher == ciphers);
    CHECK(pair.at_client.largest > 300);
    CHECK(pair.at_client.largest < 400);
    exchangeMessages(pair);
  }
}

TEST_CASE("dtls session: opens whichever one datagram is lost (RFC 6347 section 4.2.4)") {
  for (unsigned missing = 0; missing < 14; ++missing) {
    CAPTURE(missing);
    DtlsPair pair({.ciphers = "DHE-PSK-AES128-GCM-SHA256"});
    unsigned count = 0;
    pair.connect(steadyNow());
    pair.run([&](Bytes&) { return count++ != missing; });
    REQUIRE(pair.bothOpen());
    exchangeMessages(pair);
  }
}

TEST_CASE("dtls session: opens when everything comes twice") {
  DtlsPair pair({.hint = "hint"});
  pair.connect(steadyNow());
  pair.run([&](Bytes& datagram) {
    const bool from_client = parseClientHello(datagram).has_value();
    if (!from_client) return true;
    const Bytes again = datagram;
    pair.toServer(again, steadyNow());
    return true;
  });
  REQUIRE(pair.bothOpen());
  CHECK(pair.at_server.opens.size() == 1);
  exchangeMessages(pair);
}

TEST_CASE(
    "dtls session: a server asks once, waits without repeating itself, and opens on the answer") {
  DtlsPair pair({.ask = true});
  pair.connect(steadyNow());
  pair.run([](Bytes&) { return true; }, 200);
  REQUIRE(pair.at_server.questions.size() == 1);
  CHECK(*pair.at_server.questions[0].identity == "Client1");
  CHECK(pair.client->stats().retransmits > 1);
  CHECK(pair.server->stats().retransmits == 0);
  const uint32_t number = pair.at_server.questions[0].number;
  pair.server->answer(number + 1, answerWith(1), {}, steadyNow(),
                      pair.at_server);  // to nothing asked
  CHECK(!pair.server->open());
  pair.server->answer(number, answerWith(0x42), {}, steadyNow(), pair.at_server);
  CHECK(pair.server->open());
  pair.server->answer(number, answerWith(1), {}, steadyNow(), pair.at_server);  // twice
  pair.run();
  REQUIRE(pair.bothOpen());
  exchangeMessages(pair);
}

TEST_CASE("dtls session: a client asks by the hint, and names itself in the answer") {
  for (const char* hint : {"", "vault 7"}) {
    DtlsPair pair({.hint = hint, .client_asks = true});
    pair.connect(steadyNow());
    pair.run([](Bytes&) { return true; }, 100);
    REQUIRE(pair.at_client.questions.size() == 1);
    CHECK(pair.at_client.questions[0].hint.value_or("") == hint);
    pair.client->answer(pair.at_client.questions[0].number, answerWith(0x42, "Client1"), {},
                        steadyNow(), pair.at_client);
    pair.run();
    REQUIRE(pair.bothOpen());
    exchangeMessages(pair);
  }
}

TEST_CASE("dtls session: a wrong key is named on both sides (RFC 6347 section 4.1.2.7)") {
  DtlsPair pair({.client_key = 0x43});
  pair.connect(steadyNow());
  pair.run();
  REQUIRE(pair.at_server.endings.size() == 1);
  REQUIRE(pair.at_client.endings.size() == 1);
  CHECK(std::string(pair.at_server.endings[0]->code) == "MCBN_PSK_MISMATCH");
  CHECK(std::string(pair.at_client.endings[0]->code) == "MCBN_PSK_MISMATCH");
  CHECK(pair.at_client.endings[0]->alert == alert::kDecryptError);
}

TEST_CASE("dtls session: the deadline of the handshake is the caller's clock's") {
  DtlsPair pair({.dtls = dtlsOptions(400, 500, 60'000)});
  pair.connect(1'000);
  CHECK(pair.client->deadline() == 1'500);
  pair.client->expire(1'499, pair.at_client);
  CHECK(pair.at_client.endings.empty());
  pair.client->expire(1'500, pair.at_client);
  REQUIRE(pair.at_client.endings.size() == 1);
  CHECK(std::string(pair.at_client.endings[0]->code) == "MCBN_HANDSHAKE_TIMEOUT");
  CHECK(pair.client->deadline() == kNever);
}

TEST_CASE("dtls session: a silent peer hears the same flight at doubling intervals") {
  DtlsPair pair;
  const Milliseconds start = steadyNow();
  pair.connect(start);
  pair.run([](Bytes&) { return false; }, 100);
  // 0, 10, 30, 70: the next at 150. The clock is real, so only the order of magnitude is sure.
  CHECK(pair.client->stats().retransmits >= 2);
  CHECK(pair.client->stats().retransmits <= 4);
}

TEST_CASE("dtls session: can be freed at any stage, also with a question open") {
  for (const bool ask : {false, true}) {
    for (unsigned stage = 0; stage < 14; ++stage) {
      DtlsPair pair({.ciphers = "DHE-PSK-AES128-GCM-SHA256", .ask = ask});
      pair.connect(steadyNow());
      for (unsigned carried = 0; carried < stage; ++carried) {
        if (!pair.carryOne(steadyNow(), [](Bytes&) { return true; })) break;
      }
      (stage % 2 ? pair.server : pair.client)
          .reset();  // in either order; the rest by the destructor
    }
  }
}

TEST_CASE(
    "dtls session: a client that gives up says so in the clear (RFC 5246 section 7.2.2), and the "
    "server believes it when nothing else comes") {
  for (const bool ask : {false, true}) {
    DtlsPair pair({.ask = ask});
    const Milliseconds start = steadyNow();
    pair.connect(start);
    // Up to the server's first flight; with a question, up to the client's key exchange.
    while (!pair.server) REQUIRE(pair.carryOne(start, [](Bytes&) { return true; }));
    while (ask && pair.at_server.questions.empty()) {
      REQUIRE(pair.carryOne(start, [](Bytes&) { return true; }));
    }
    pair.at_client.outgoing.clear();
    pair.client->close(pair.at_client);
    CHECK(pair.client->state() == DtlsSession::State::Ended);
    REQUIRE(pair.at_client.outgoing.size() == 1);
    ByteView rest = pair.at_client.outgoing[0];
    for (const uint8_t description : {alert::kUserCanceled, alert::kCloseNotify}) {
      const auto record = nextRecord(rest);
      REQUIRE(record);
      CHECK(record->type == content_type::kAlert);
      CHECK(record->epoch == 0);
      REQUIRE(record->fragment.size() == 2);
      CHECK(record->fragment[0] == alert::kWarning);
      CHECK(record->fragment[1] == description);
    }
    CHECK(rest.empty());
    pair.server->receive(pair.at_client.outgoing[0], start, pair.at_server);
    const Milliseconds believed = start + 2'500;
    for (Milliseconds now = pair.server->deadline(); now < believed;
         now = pair.server->deadline()) {
      pair.server->expire(now, pair.at_server);
      REQUIRE(pair.server->state() == DtlsSession::State::Handshaking);
    }
    CHECK(pair.server->deadline() == believed);
    pair.server->expire(believed, pair.at_server);
    REQUIRE(pair.at_server.endings.size() == 1);
    CHECK(std::string(pair.at_server.endings[0]->code) == "MCBN_HANDSHAKE_FAILED");
    CHECK(pair.at_server.endings[0]->alert == alert::kUserCanceled);
  }
}

TEST_CASE("dtls session: a stranger's goodbye in the clear ends no handshake that goes on") {
  for (const uint8_t description : {alert::kUserCanceled, alert::kCloseNotify}) {
    DtlsPair pair;
    pair.connect(steadyNow());
    uint64_t number = 1'000;
    pair.run([&](Bytes&) {
      Bytes forged = plaintextAlert(kDtls12, number++, alert::kWarning, description);
      Bytes for_client = forged;  // records are read where they lie
      pair.client->receive(for_client, steadyNow(), pair.at_client);
      if (pair.server) pair.server->receive(forged, steadyNow(), pair.at_server);
      return true;
    });
    REQUIRE(pair.bothOpen());
    exchangeMessages(pair);
  }
}

TEST_CASE("dtls session: a client that nobody has answered goes without a word") {
  DtlsPair pair;
  pair.connect(steadyNow());
  pair.at_client.outgoing.clear();
  pair.client->close(pair.at_client);
  CHECK(pair.at_client.outgoing.empty());
}

TEST_CASE("dtls session: says close_notify, hears it, and does nothing afterwards") {
  DtlsPair pair;
  pair.connect(steadyNow());
  pair.run();
  REQUIRE(pair.bothOpen());
  pair.client->close(pair.at_client);
  CHECK(pair.at_client.endings.empty());
  pair.run();
  while (pair.carryOne(steadyNow(), [](Bytes&) { return true; })) continue;
  REQUIRE(pair.at_server.endings.size() == 1);
  CHECK(!pair.at_server.endings[0].has_value());
  CHECK(!pair.client->send(kHello, steadyNow(), pair.at_client));
  CHECK(!pair.server->send(kHello, steadyNow(), pair.at_server));
  pair.toClient({kHello.begin(), kHello.end()}, steadyNow());
  pair.client->expire(steadyNow() + 100'000, pair.at_client);
  pair.client->close(pair.at_client);
  CHECK(pair.at_client.endings.empty());
}

TEST_CASE("dtls session: no forged record ends it, however short") {
  for (const char* ciphers : {"PSK-AES128-GCM-SHA256", "PSK-AES128-CCM", "PSK-AES128-CCM8",
                              "PSK-CHACHA20-POLY1305", "PSK-AES128-CBC-SHA256"}) {
    CAPTURE(ciphers);
    DtlsPair pair({.ciphers = ciphers});
    pair.connect(steadyNow());
    pair.run();
    REQUIRE(pair.bothOpen());
    Noise noise(7);
    for (uint8_t type = 19; type < 26; ++type) {
      for (uint16_t epoch = 0; epoch < 3; ++epoch) {
        for (size_t length = 0; length < 70; ++length) {
          const Bytes forged = wire::record(type, epoch, 1'000 + length, noise.bytes(length));
          pair.toClient(forged, steadyNow());
          pair.toServer(forged, steadyNow());
        }
      }
    }
    REQUIRE(pair.bothOpen());
    exchangeMessages(pair);
  }
}

TEST_CASE(
    "dtls session: damage at every place of a handshake neither crashes nor lies (seeds 1 to 60)") {
  unsigned opened = 0;
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    Noise noise(seed);
    DtlsPair pair({.hint = "hint", .ask = seed % 2 == 0, .dtls = dtlsOptions(300, 400, 10)});
    pair.connect(steadyNow());
    pair.run(
        [&](Bytes& datagram) {
          if (noise.below(4) == 0) datagram = noise.damaged(std::move(datagram));
          if (pair.server && !pair.at_server.questions.empty() && noise.below(3) == 0) {
            pair.server->answer(pair.at_server.questions.back().number, answerWith(0x42), {},
                                steadyNow(), pair.at_server);
          }
          return noise.below(8) != 0;
        },
        600);
    for (const auto* sink : {&pair.at_client, &pair.at_server}) {
      CHECK(sink->messages.empty());
      CHECK(sink->opens.size() <= 1);
      CHECK(sink->endings.size() <= 1);
    }
    if (pair.bothOpen()) {
      CHECK(pair.at_server.opens[0].identity == "Client1");
      opened += 1;
    }
  }
  CHECK(opened > 0);
}

TEST_CASE("dtls session: what OpenSSL makes no record of is not said to be sent") {
  PairOptions options;
  options.dtls.openssl_records = true;
  DtlsPair pair(options);
  pair.connect(steadyNow());
  pair.run();
  REQUIRE(pair.bothOpen());
  // More than a record may have (RFC 5246 section 6.2.1): the caller has been told that it was taken, so the
  // session ends by name.
  CHECK_FALSE(pair.client->send(Bytes(17'000, 'm'), steadyNow(), pair.at_client));
  CHECK(pair.client->state() == DtlsSession::State::Ended);
  REQUIRE(pair.at_client.endings.size() == 1);
  REQUIRE(pair.at_client.endings[0]);
  CHECK(std::string(pair.at_client.endings[0]->code) == "MCBN_PROTOCOL_ERROR");
  CHECK(pair.at_client.endings[0]->message.find("could not make a record") != std::string::npos);
}
