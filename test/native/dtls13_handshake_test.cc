// Two Dtls13Sessions against each other: no socket, and a clock that is a number.
#include <doctest/doctest.h>

#include "dtls13_exchange.h"

using namespace mcbn;
using namespace mcbn::dtls13;

TEST_CASE("dtls13: opens and carries messages with every suite and key exchange (RFC 9147)") {
  for (const Suite* suite : {&suite::kAes128Gcm, &suite::kAes256Gcm, &suite::kChaCha20Poly1305,
                             &suite::kAes128Ccm, &suite::kAes128Ccm8}) {
    for (const uint8_t modes : {uint8_t{kPskDheKe}, uint8_t{kPskKe}}) {
      for (const Group group : {Group::X25519, Group::Secp256r1}) {
        CAPTURE(suite->name);
        CAPTURE(unsigned{modes});
        CAPTURE(nameOf(group));
        Pair13 pair({.suites = {suite},
                     .client_groups = {group},
                     .client_modes = modes,
                     .server_modes = modes,
                     .hash = suite->hash});
        pair.connect();
        pair.run();
        REQUIRE(pair.bothOpen());
        CHECK(pair.at_client.opens[0].cipher == suite->name);
        CHECK(pair.at_server.opens[0].identity == "Client1");
        CHECK(pair.at_server.opens[0].protocol == Protocol::Dtls13);
        CHECK(pair.client->stats().retransmits + pair.server->stats().retransmits == 0);
        exchangeMessages(pair);
        Bytes ours(40), theirs(40);
        REQUIRE(pair.client->exportKeyingMaterial("EXPORTER-test", {}, ours));
        REQUIRE(pair.server->exportKeyingMaterial("EXPORTER-test", {}, theirs));
        CHECK(ours == theirs);
        CHECK(pair.client->roundTrip() == 20);
        CHECK(pair.server->roundTrip() == 20);
      }
    }
  }
}

TEST_CASE("dtls13: a server asks once, waits, and opens on the answer (RFC 8446 section 4.2.11)") {
  Pair13 pair({.ask = true, .dtls = dtlsOptions(1'200, 10'000, 250)});
  pair.connect();
  pair.run([] { return false; }, 3'000);
  REQUIRE(pair.at_server.questions.size() == 1);
  CHECK(*pair.at_server.questions[0].identity == "Client1");
  CHECK(pair.at_server.questions[0].protocol == Protocol::Dtls13);
  CHECK(pair.client->stats().retransmits > 1);
  CHECK(pair.server->stats().retransmits == 0);
  const uint32_t number = pair.at_server.questions[0].number;
  CHECK(pair.server->asks(number));
  pair.server->answer(number + 1, answerWith(1), {}, pair.now, pair.at_server);
  CHECK(pair.server->asks(number));
  pair.server->answer(number, answerWith(0x42), {}, pair.now, pair.at_server);
  pair.run();
  REQUIRE(pair.bothOpen());
  exchangeMessages(pair);
}

TEST_CASE("dtls13: a lookup that fails is what the server tells, and the client sees a wrong key") {
  Pair13 pair({.ask = true, .dtls = dtlsOptions(1'200, 10'000, 250)});
  pair.connect();
  pair.run([&] { return !pair.at_server.questions.empty(); });
  pair.server->answer(1, {}, Failure{.code = "MCBN_LOOKUP_FAILED", .message = "the database"},
                      pair.now, pair.at_server);
  pair.run([&] { return pair.client->state() == Dtls13Session::State::Ended; });
  CHECK(Pair13::codeOf(pair.at_server) == "MCBN_LOOKUP_FAILED");
  CHECK(Pair13::codeOf(pair.at_client) == "MCBN_PSK_MISMATCH");
}

TEST_CASE("dtls13: a refused cookie is not told as a wrong key alone (RFC 9147 section 5.1)") {
  Pair13 pair({.dtls = dtlsOptions(1'200, 10'000, 250)});
  // The client's address is another with every datagram.
  pair.fate = [&](Side, Bytes&) {
    pair.client_address.back() += 1;
    return std::vector<Milliseconds>{0};
  };
  pair.connect();
  pair.run([&] { return pair.client->state() == Dtls13Session::State::Ended; });
  CHECK(pair.at_client.sent.size() < 40);
  REQUIRE(pair.at_client.endings.size() == 1);
  REQUIRE(pair.at_client.endings[0]);
  CHECK(pair.at_client.endings[0]->message.find("refuses the cookie") != std::string::npos);
  CHECK(pair.accepted == 0);
  // One that changes once gets a cookie for the new one.
  Pair13 moved({.dtls = dtlsOptions(1'200, 10'000, 250)});
  moved.connect();
  moved.run([&] { return moved.client->stats().datagrams_received == 1; });
  moved.client_address = wire::text("192.0.2.1:4712");
  moved.run();
  CHECK(moved.bothOpen());
}

TEST_CASE("dtls13: a client without a key asks for one before its hello names it") {
  Pair13 pair({.client_asks = true});
  pair.connect();
  REQUIRE(pair.at_client.questions.size() == 1);
  CHECK(pair.at_client.sent.empty());
  // Nobody can answer a hello that was not sent.
  pair.deliver(Side::Server, wire::record(22, 0, 0, wire::message(2, 0, Bytes(60, 1))));
  pair.client->answer(1, answerWith(0x42, "Client1"), {}, pair.now, pair.at_client);
  pair.run();
  REQUIRE(pair.bothOpen());
  Pair13 none({.client_asks = true});
  none.connect();
  none.client->answer(1, {}, {}, none.now, none.at_client);
  CHECK(Pair13::codeOf(none.at_client) == "MCBN_LOOKUP_FAILED");
  CHECK(none.at_client.sent.empty());
}

TEST_CASE("dtls13: a question that may not be asked is asked when the hello comes again") {
  Pair13 pair({.ask = true, .dtls = dtlsOptions(1'200, 10'000, 250)});
  pair.at_server.may_ask = false;
  pair.connect();
  pair.run([] { return false; }, 1'000 + 200);
  REQUIRE(pair.server);
  CHECK(pair.at_server.questions.empty());
  CHECK(!pair.server->asks(0));
  pair.at_server.may_ask = true;
  pair.run([&] { return !pair.at_server.questions.empty(); }, 3'000);
  REQUIRE(pair.at_server.questions.size() == 1);
  pair.server->answer(pair.at_server.questions[0].number, answerWith(0x42), {}, pair.now,
                      pair.at_server);
  pair.run();
  REQUIRE(pair.bothOpen());
}

TEST_CASE(
    "dtls13: a server takes the first of several identities that has a key (RFC 8446 section "
    "4.2.11)") {
  const Bytes random(32, 7);
  const std::array<Bytes, 3> names{wire::text("nobody"), wire::text("Client1"), wire::text("none")};
  const std::array<ByteView, 3> identities{names[0], names[1], names[2]};
  const std::array<uint16_t, 1> suites{0x1301};
  Bytes body;
  const size_t before = writeClientHello({.random = random,
                                          .suites = suites,
                                          .groups = {},
                                          .share_group = {},
                                          .share = {},
                                          .modes = kPskKe,
                                          .cookie = {},
                                          .connection_id = {},
                                          .servername = {},
                                          .identities = identities},
                                         body);
  const Secret key = testKey();
  const Secret binder = EarlySecret(PskHash::Sha256, PskOrigin::External, key.view())
                            .binder(Transcript(PskHash::Sha256).hashUpTo(body, before));
  for (const bool right : {true, false}) {
    // The second binder, behind the length of all, the first, and its own length.
    std::copy_n(binder.data(), 32, body.begin() + static_cast<ptrdiff_t>(before + 2 + 33 + 1));
    if (!right) body[before + 2 + 33 + 5] ^= 1;
    Pair13 pair({.server_modes = kPskKe});
    Dtls13Session server(Role::Server, pair.server_settings, dtlsOptions(1'200, 10'000, 250));
    VerifiedHello hello;
    hello.body = body;
    server.accept(hello, 1'000, pair.at_server);
    CHECK(server.identity() == "Client1");
    if (!right) {
      CHECK(Pair13::codeOf(pair.at_server) == "MCBN_PSK_MISMATCH");
      continue;
    }
    ServerHello answer;
    REQUIRE(!parseServerHello(Pair13::nextRecordOf(pair.at_server.sent.at(0)).subspan(12), answer));
    CHECK(answer.psk == 1);
  }
}

TEST_CASE(
    "dtls13: of several identities a server takes the first that it knows (RFC 8446 section "
    "4.2.11)") {
  const Pair13Options options{.identity = "Nobody",
                              .other_identities = {"Else", "Client1", "Client2"},
                              .dtls = dtlsOptions(1'200, 10'000, 250)};
  for (const bool ask : {false, true}) {
    CAPTURE(ask);
    Pair13Options asking = options;
    asking.ask = ask;
    Pair13 pair(asking);
    pair.connect();
    for (uint32_t i = 0; ask && i < 3; ++i) {
      pair.run([&] { return pair.at_server.questions.size() == i + 1; });
      REQUIRE(pair.at_server.questions.size() == i + 1);
      const std::array<std::string, 3> expected = {"Nobody", "Else", "Client1"};
      CHECK(pair.at_server.questions[i].identity == expected[i]);
      pair.server->answer(i + 1, i == 2 ? answerWith(0x42) : PskAnswer(), {}, pair.now,
                          pair.at_server);
    }
    pair.run();
    REQUIRE(pair.bothOpen());
    CHECK(pair.server->identity() == "Client1");
    CHECK(pair.client->identity() == "Client1");
    CHECK(pair.at_client.opens[0].identity == "Client1");
    exchangeMessages(pair);
  }
  // None of them is known: as one that is not.
  Pair13Options unknown = options;
  unknown.other_identities = {"Else", "Client2"};
  Pair13 pair(unknown);
  pair.connect();
  pair.run([&] { return pair.client->state() == Dtls13Session::State::Ended; }, 20'000);
  CHECK(Pair13::codeOf(pair.at_client) == "MCBN_PSK_MISMATCH");
  CHECK(Pair13::codeOf(pair.at_server) == "MCBN_PSK_IDENTITY_UNKNOWN");
}

TEST_CASE("dtls13: a server that takes an identity beyond those offered is named") {
  Pair13 pair({.identity = "Client1",
               .other_identities = {"Client2"},
               .dtls = dtlsOptions(1'200, 4'000, 250)});
  pair.fate = [](Side, Bytes&) { return std::vector<Milliseconds>{}; };
  pair.connect();
  Bytes body;
  const Bytes random(32, 0x5E);
  writeServerHello({.random = random, .suite = 0x1301, .group = {}, .psk = 2}, body);
  pair.deliver(Side::Server, wire::record(22, 0, 0, wire::message(2, 0, body)));
  pair.run([&] { return pair.client->state() == Dtls13Session::State::Ended; }, 20'000);
  CHECK(Pair13::codeOf(pair.at_client) == "MCBN_PROTOCOL_ERROR");
}

TEST_CASE(
    "dtls13: imported keys bind with \"imp binder\", and meet no others (RFC 9258 section 5.2)") {
  for (const PskOrigin client : {PskOrigin::External, PskOrigin::Imported}) {
    for (const PskOrigin server : {PskOrigin::External, PskOrigin::Imported}) {
      CAPTURE(static_cast<int>(client));
      CAPTURE(static_cast<int>(server));
      Pair13 pair({.client_origin = client,
                   .server_origin = server,
                   .dtls = dtlsOptions(1'200, 10'000, 250)});
      pair.connect();
      if (client == server) {
        pair.run();
        REQUIRE(pair.bothOpen());
        exchangeMessages(pair);
        continue;
      }
      pair.run([&] { return pair.client->state() == Dtls13Session::State::Ended; }, 20'000);
      CHECK(Pair13::codeOf(pair.at_client) == "MCBN_PSK_MISMATCH");
      CHECK(Pair13::codeOf(pair.at_server) == "MCBN_PSK_MISMATCH");
    }
  }
}

TEST_CASE("dtls13: nothing in common is told at once (RFC 8446 section 4.1.1)") {
  for (const bool modes : {false, true}) {
    Pair13Options options{.dtls = dtlsOptions(1'200, 10'000, 250)};
    if (modes) {
      options.client_modes = kPskKe;
    } else {
      options.server_groups = {Group::Secp256r1};
      options.client_groups = {Group::X25519};
    }
    Pair13 pair(options);
    pair.connect();
    pair.run([&] { return pair.client->state() == Dtls13Session::State::Ended; }, 20'000);
    CHECK(Pair13::codeOf(pair.at_client) == "MCBN_HANDSHAKE_FAILED");
    CHECK(pair.now <= 1'000 + 3'000);
    CHECK(pair.accepted == 0);
  }
}

TEST_CASE(
    "dtls13: X25519MLKEM768 makes a hello of two datagrams, and the cookie stays stateless (RFC "
    "9147 section 5.1)") {
  if (!available(Group::X25519MlKem768)) {
    MESSAGE("this OpenSSL has no X25519MLKEM768");
    return;
  }
  Pair13 pair({.client_groups = {Group::X25519MlKem768}, .server_groups = {Group::X25519MlKem768}});
  pair.connect();
  CHECK(pair.at_client.sent.size() == 2);
  pair.run();
  REQUIRE(pair.bothOpen());
  CHECK(pair.accepted == 1);
  exchangeMessages(pair);
}

TEST_CASE("dtls13: the bytes of a handshake, for docs/DTLS13.md") {
  for (const uint8_t modes : {uint8_t{kPskKe}, uint8_t{kPskDheKe}}) {
    Pair13 pair({.client_modes = modes, .server_modes = modes});
    pair.connect();
    pair.run();
    REQUIRE(pair.bothOpen());
    std::string sizes;
    for (const Bytes& bytes : pair.at_client.sent) sizes += " " + std::to_string(bytes.size());
    sizes += " |";
    for (const Bytes& bytes : pair.at_server.sent) sizes += " " + std::to_string(bytes.size());
    MESSAGE("client | server:", sizes);
    CHECK(pair.at_client.sent.size() == 3);
    CHECK(pair.at_server.sent.size() == 3);
    CHECK(pair.now == 1'000 + 60);
  }
}
