// DTLS 1.3 against those who damage, forge and break the rules, on the path and as peers.
#include <doctest/doctest.h>

#include <random>

#include "dtls13_exchange.h"

using namespace mcbn;
using namespace mcbn::dtls13;

namespace {

DtlsOptions brisk() { return dtlsOptions(1'200, 4'000, 250); }
Pair13Options plain() { return {.client_modes = kPskKe, .server_modes = kPskKe, .dtls = brisk()}; }

const std::vector<Milliseconds> kAtOnce{0};

// A client that has heard of no server, and what a server in the clear makes of it.
struct LoneClient {
  explicit LoneClient(const Pair13Options& options) : pair(options) {
    pair.fate = [](Side, Bytes&) { return std::vector<Milliseconds>{}; };
    pair.connect();
  }
  void hear(uint8_t type, uint16_t sequence, const Bytes& body) {
    pair.deliver(Side::Server, wire::record(22, 0, numbers++, wire::message(type, sequence, body)));
  }
  std::string end() {
    pair.run([&] { return pair.client->state() == Dtls13Session::State::Ended; }, 20'000);
    return Pair13::codeOf(pair.at_client);
  }

  Pair13 pair;
  uint64_t numbers = 0;
};

struct Hello {
  uint16_t suite = 0x1301;
  std::optional<uint16_t> group = {};
  uint16_t psk = 0;
  std::optional<ByteView> connection_id = {};
};

Bytes serverHello(const Hello& hello) {
  const Bytes random(32, 0x5E), share(32, 9);
  const ServerHelloFields fields{.random = random,
                                 .suite = hello.suite,
                                 .group = hello.group,
                                 .share = share,
                                 .psk = hello.psk,
                                 .connection_id = hello.connection_id};
  Bytes body;
  writeServerHello(fields, body);
  return body;
}

Bytes retryRequest(uint16_t suite, uint16_t group, const Bytes& cookie) {
  Bytes body(kMostRetryBytes);
  body.resize(writeHelloRetryRequest(suite, group, cookie, body.data()));
  return body;
}

}  // namespace

TEST_CASE(
    "dtls13 hostile: a damaged copy before each datagram ends open or in a typed failure (seeds)") {
  unsigned opened = 0;
  constexpr unsigned kRuns = 300;
  for (unsigned seed = 0; seed < kRuns; ++seed) {
    CAPTURE(seed);
    Pair13 pair(plain());
    std::mt19937 chance(seed);
    const unsigned victim = seed % 6;
    unsigned count = 0;
    pair.fate = [&](Side from, Bytes& bytes) {
      if (count++ != victim) return kAtOnce;
      Bytes damaged = bytes;
      damaged[chance() % damaged.size()] ^= static_cast<uint8_t>(1 << chance() % 8);
      if (chance() % 4 == 0) damaged.resize(chance() % damaged.size());
      pair.deliver(from, damaged);
      return kAtOnce;
    };
    pair.connect();
    pair.run(1'000 + 12'000);
    pair.run([] { return false; }, pair.now + 5'000);
    if (pair.bothOpen()) {
      opened += 1;
      continue;
    }
    CHECK((!Pair13::codeOf(pair.at_client).empty() || !Pair13::codeOf(pair.at_server).empty()));
  }
  // A damaged ServerHello gives wrong keys, and a damaged hello another transcript; most others do
  // nothing.
  MESSAGE(opened, " of ", kRuns, " open");
  CHECK(opened > kRuns / 2);
}

TEST_CASE(
    "dtls13 hostile: whatever is encrypted and damaged changes nothing (RFC 9147 section 4.5.2)") {
  for (unsigned seed = 0; seed < 100; ++seed) {
    CAPTURE(seed);
    Pair13 pair(plain());
    std::mt19937 chance(seed);
    pair.fate = [&](Side from, Bytes& bytes) {
      if (bytes[0] >> 5 == 1) {
        Bytes damaged = bytes;
        damaged[3 + chance() % (damaged.size() - 3)] ^= static_cast<uint8_t>(1 << chance() % 8);
        pair.deliver(from, damaged);
      }
      return kAtOnce;
    };
    pair.connect();
    pair.run();
    REQUIRE(pair.bothOpen());
    exchangeMessages(pair);
  }
}

TEST_CASE(
    "dtls13 hostile: alerts and ACKs in the clear, from anybody, end and stall nothing (RFC 9147 "
    "sections 4.5.2, 7)") {
  for (unsigned at = 0; at < 6; ++at) {
    for (const Side to : {Side::Client, Side::Server}) {
      CAPTURE(at);
      CAPTURE(static_cast<int>(to));
      Pair13 pair(plain());
      Bytes listed;
      Writer(listed).u16(16 * 8);
      for (uint64_t number = 0; number < 8; ++number) Writer(listed).u64(0).u64(number);
      unsigned count = 0;
      pair.fate = [&](Side, Bytes&) {
        if (count++ != at || (to == Side::Server && !pair.server)) return kAtOnce;
        const Side from = to == Side::Client ? Side::Server : Side::Client;
        for (const uint8_t description : {0, 40, 51, 115}) {
          pair.deliver(from, wire::record(21, 0, 90, Bytes{2, description}));
        }
        pair.deliver(from, wire::record(26, 0, 91, listed));
        pair.deliver(from, wire::record(26, 0, 92, Bytes{0, 0}));
        pair.deliver(from, wire::record(26, 0, 93, Bytes{0, 5, 1}));
        pair.deliver(from, wire::record(23, 0, 94, Bytes{1, 2, 3}));
        return kAtOnce;
      };
      pair.connect();
      pair.run();
      REQUIRE(pair.bothOpen());
      exchangeMessages(pair);
    }
  }
}

TEST_CASE(
    "dtls13 hostile: an ACK in the clear for a lost hello delays it once and no more (RFC 9147 "
    "section 7.2)") {
  Pair13 pair(plain());
  unsigned count = 0;
  pair.fate = [&](Side, Bytes&) {
    if (count++ > 0) return kAtOnce;
    Bytes ack;
    Writer(ack).u16(16).u64(0).u64(0);
    pair.deliver(Side::Server, wire::record(26, 0, 0, ack));
    return std::vector<Milliseconds>{};
  };
  pair.connect();
  pair.run();
  REQUIRE(pair.bothOpen());
  CHECK(pair.now <= 1'000 + 250 + 100);
}

TEST_CASE(
    "dtls13 hostile: a thousand empty ACKs make a server send a few flights (RFC 9147 section "
    "7.1)") {
  Pair13 pair({.ask = true, .dtls = brisk()});
  pair.connect();
  pair.run([&] { return !pair.at_server.questions.empty(); });
  pair.server->answer(1, answerWith(0x42), {}, pair.now, pair.at_server);
  const size_t before = pair.at_server.sent.size();
  for (unsigned i = 0; i < 1'000; ++i) {
    pair.deliver(Side::Client, wire::record(26, 0, i, Bytes{0, 0}));
  }
  CHECK(pair.at_server.sent.size() <= before + 1);
  pair.run();
  CHECK(pair.bothOpen());
}

TEST_CASE(
    "dtls13 hostile: a forged ServerHello that says nonsense is outlived by the server's (RFC 9147 "
    "section 5.5)") {
  const Bytes nonsense[] = {Bytes(40, 0xEE), serverHello({.suite = 0x1399}),
                            serverHello({.psk = 5}), retryRequest(0x1399, 0, Bytes(10, 1))};
  for (const Bytes& body : nonsense) {
    Pair13 pair(plain());
    unsigned count = 0;
    pair.fate = [&](Side from, Bytes&) {
      // Before the HelloRetryRequest, and before the ServerHello.
      if (from == Side::Server && count < 2) {
        const auto sequence = static_cast<uint16_t>(count++);
        pair.deliver(from, wire::record(22, 0, 50, wire::message(2, sequence, body)));
      }
      return kAtOnce;
    };
    pair.connect();
    pair.run();
    REQUIRE(pair.bothOpen());
    exchangeMessages(pair);
  }
}

TEST_CASE("dtls13 hostile: servers that break RFC 8446 section 4.1 are named") {
  struct Case {
    const char* name;
    std::vector<std::pair<uint16_t, Bytes>> messages;
    const char* code;
  };
  const Bytes cookie(20, 1);
  Bytes old;
  Bytes random(32, 0);
  std::ranges::copy(wire::text("DOWNGRD"), random.end() - 8);
  random.back() = 1;
  Writer(old).u16(0xFEFD).bytes(random).u8(0).u16(0x00A8).u8(0);
  Bytes no_psk;
  Writer(no_psk)
      .u16(0xFEFD)
      .bytes(Bytes(32, 3))
      .u8(0)
      .u16(0x1301)
      .u8(0)
      .u16(6)
      .u16(43)
      .u16(2)
      .u16(kVersion13);
  const Case cases[] = {
      {"a suite that was not offered",
       {{0, serverHello({.suite = 0x1302})}},
       "MCBN_PROTOCOL_ERROR"},
      {"an identity that was not offered", {{0, serverHello({.psk = 1})}}, "MCBN_PROTOCOL_ERROR"},
      {"no identity at all", {{0, no_psk}}, "MCBN_PSK_NOT_USED"},
      {"a group with psk_ke", {{0, serverHello({.group = 0x1D})}}, "MCBN_PROTOCOL_ERROR"},
      {"a connection ID that was not offered",
       {{0, serverHello({.connection_id = ByteView(cookie)})}},
       "MCBN_PROTOCOL_ERROR"},
      {"two retries",
       {{0, retryRequest(0x1301, 0, cookie)}, {1, retryRequest(0x1301, 0, cookie)}},
       "MCBN_PROTOCOL_ERROR"},
      {"another suite after the retry",
       {{0, retryRequest(0x1301, 0, cookie)}, {1, serverHello({.suite = 0x1303})}},
       "MCBN_PROTOCOL_ERROR"},
      {"a retry for a group with psk_ke",
       {{0, retryRequest(0x1301, 0x1D, cookie)}},
       "MCBN_PROTOCOL_ERROR"},
      {"an older version, where a newer one was removed on the way",
       {{0, old}},
       "MCBN_PROTOCOL_ERROR"},
      {"a Certificate in the clear", {}, "MCBN_PSK_NOT_USED"},
  };
  for (const Case& each : cases) {
    CAPTURE(each.name);
    LoneClient client(plain());
    for (const auto& [sequence, body] : each.messages) client.hear(2, sequence, body);
    if (each.messages.empty()) client.hear(11, 0, Bytes(30, 1));
    CHECK(client.end() == each.code);
    CHECK(client.pair.now <= 1'000 + 3'000);
    // The server is told what was wrong (RFC 8446 section 6.2).
    const Bytes& last = client.pair.at_client.sent.back();
    REQUIRE(last.size() == 15);
    CHECK(last[0] == 21);
    CHECK(last[14] == client.pair.at_client.endings[0]->alert);
  }
}

TEST_CASE("dtls13 hostile: a client with psk_dhe_ke accepts no psk_ke (RFC 8446 section 4.2.9)") {
  LoneClient client({.dtls = brisk()});
  client.hear(2, 0, serverHello({}));
  CHECK(client.end() == "MCBN_PROTOCOL_ERROR");
  LoneClient same_group({.dtls = brisk()});
  same_group.hear(2, 0, retryRequest(0x1301, 0x1D, Bytes(8, 1)));
  CHECK(same_group.end() == "MCBN_PROTOCOL_ERROR");
}

TEST_CASE("dtls13 hostile: an unknown identity and a wrong key look alike (RFC 8446 section E.6)") {
  const auto answers = [](const Pair13Options& options, std::string& at_server) {
    Pair13 pair(options);
    pair.connect();
    pair.run([&] { return pair.client->state() == Dtls13Session::State::Ended; }, 20'000);
    CHECK(Pair13::codeOf(pair.at_client) == "MCBN_PSK_MISMATCH");
    CHECK(pair.now <= 1'000 + 3'000);
    at_server = Pair13::codeOf(pair.at_server);
    std::vector<Bytes> sent = pair.at_server.sent;
    for (Bytes& bytes : sent) {
      if (bytes[0] == 22) bytes.resize(1);  // the cookie differs with the hello
    }
    return sent;
  };
  std::string wrong, unknown;
  const auto to_wrong = answers({.client_key = 1, .identity = "Client1", .dtls = brisk()}, wrong);
  const auto to_unknown = answers({.identity = "Client2", .dtls = brisk()}, unknown);
  CHECK(to_wrong == to_unknown);
  CHECK(wrong == "MCBN_PSK_MISMATCH");
  CHECK(unknown == "MCBN_PSK_IDENTITY_UNKNOWN");
  std::string told;
  Pair13 open({.identity = "Client2", .unknown = UnknownIdentity::Alert, .dtls = brisk()});
  open.connect();
  open.run([&] { return open.client->state() == Dtls13Session::State::Ended; }, 20'000);
  CHECK(Pair13::codeOf(open.at_client) == "MCBN_PSK_IDENTITY_UNKNOWN");
}

TEST_CASE(
    "dtls13 hostile: what has no place in an open association ends it (RFC 9147 section 9, RFC "
    "8446 section 6.2)") {
  struct Case {
    uint8_t type;
    Bytes body;
    bool to_client;
  };
  const Case cases[] = {{message_type::kFinished, Bytes(32), true},
                        {message_type::kClientHello, Bytes(60), false},
                        {message_type::kNewSessionTicket, Bytes(40), false},
                        {message_type::kNewConnectionId, {0, 0, 0}, true},
                        {message_type::kRequestConnectionId, {1}, false},
                        {message_type::kKeyUpdate, {2}, true},
                        {message_type::kCertificateRequest, Bytes(20), true}};
  for (const Case& each : cases) {
    CAPTURE(unsigned{each.type});
    Pair13 pair(plain());
    pair.connect();
    pair.run([&] { return pair.bothOpen() && pair.client->deadline() == kNever; });
    REQUIRE(pair.bothOpen());
    // Records with the keys of this peer, beside those that it makes itself.
    Dtls13Session& victim = each.to_client ? *pair.client : *pair.server;
    RecordingSink& sink = each.to_client ? pair.at_client : pair.at_server;
    const auto& peer = each.to_client ? pair.server : pair.client;
    Records forger;
    REQUIRE(forger.startWriting(3, *peer->association()->agreed().suite,
                                peer->association()->agreed().write));
    Bytes datagram;
    const uint16_t sequence = each.to_client ? 4 : 3;
    for (unsigned i = 0; i < 40; ++i) {
      datagram.clear();  // numbers that the session has not seen
      REQUIRE(forger.seal(3, 22, wire::message(each.type, sequence, each.body), datagram));
    }
    victim.receive(datagram, pair.now, sink);
    CHECK(victim.state() == Dtls13Session::State::Ended);
    CHECK(Pair13::codeOf(sink) == "MCBN_PROTOCOL_ERROR");
  }
}

TEST_CASE(
    "dtls13 hostile: a ticket is acknowledged and dropped (RFC 8446 section 4.6.1, RFC 9147 "
    "section 7)") {
  Pair13 pair(plain());
  pair.connect();
  pair.run([&] { return pair.bothOpen() && pair.client->deadline() == kNever; });
  Records server;
  REQUIRE(server.startWriting(3, *pair.server->association()->agreed().suite,
                              pair.server->association()->agreed().write));
  Bytes datagram;
  for (unsigned i = 0; i < 9; ++i) {
    datagram.clear();
    REQUIRE(server.seal(3, 22, wire::message(4, 4, Bytes(321, 1)), datagram));
  }
  const size_t before = pair.at_client.sent.size();
  Bytes again = datagram;
  pair.client->receive(datagram, pair.now, pair.at_client);
  CHECK(pair.client->open());
  CHECK(pair.at_client.sent.size() == before + 1);
  // Replayed: the same record is not acknowledged again (RFC 9147 section 4.5.1).
  pair.client->receive(again, pair.now, pair.at_client);
  CHECK(pair.at_client.sent.size() == before + 1);
}

TEST_CASE(
    "dtls13 hostile: a server of DTLS 1.2, by its HelloVerifyRequest, is named (RFC 9147 section "
    "5.2)") {
  LoneClient client(plain());
  Bytes body;
  Writer(body).u16(0xFEFD).u8(20).bytes(Bytes(20, 1));
  client.hear(3, 0, body);
  CHECK(client.end() == "MCBN_HANDSHAKE_FAILED");
  CHECK(client.pair.at_client.endings[0]->alert == alert::kProtocolVersion);
}

TEST_CASE(
    "dtls13 hostile: messages in the clear to a server that awaits the Finished change nothing "
    "(RFC 9147 section 6.1)") {
  Pair13 pair(plain());
  pair.fate = [&](Side from, Bytes&) {
    const bool lost = from == Side::Client && pair.server;
    return lost ? std::vector<Milliseconds>{} : kAtOnce;
  };
  pair.connect();
  pair.run([&] { return pair.client->open(); });
  for (const uint8_t type : {uint8_t{20}, uint8_t{1}, uint8_t{24}}) {
    pair.deliver(Side::Client, wire::record(22, 0, 9, wire::message(type, 2, Bytes(32, 1))));
  }
  pair.run([&] { return pair.server->state() == Dtls13Session::State::Ended; }, 20'000);
  CHECK(Pair13::codeOf(pair.at_server) == "MCBN_HANDSHAKE_TIMEOUT");
  CHECK(pair.now >= 1'000 + 4'000);
}

TEST_CASE(
    "dtls13 hostile: a long ticket is taken, and one beyond all sense is not (RFC 9147 section "
    "5.5)") {
  Pair13 pair(plain());
  pair.connect();
  pair.run([&] { return pair.bothOpen() && pair.client->deadline() == kNever; });
  Records server;
  REQUIRE(server.startWriting(3, *pair.server->association()->agreed().suite,
                              pair.server->association()->agreed().write));
  Bytes datagram;
  for (unsigned i = 0; i < 9; ++i) {
    datagram.clear();
    REQUIRE(server.seal(3, 22, wire::message(4, 4, Bytes(9'000, 1)), datagram));
  }
  const size_t before = pair.at_client.sent.size();
  pair.client->receive(datagram, pair.now, pair.at_client);
  CHECK(pair.at_client.sent.size() == before + 1);
  datagram.clear();
  REQUIRE(server.seal(3, 22, wire::fragment(4, 5, Bytes(20'000, 1), 0, 9'000), datagram));
  pair.client->receive(datagram, pair.now, pair.at_client);
  CHECK(pair.client->open());
  CHECK(pair.at_client.sent.size() == before + 1);
}

TEST_CASE(
    "dtls13 hostile: an alert in the clear ends no handshake whose key is being looked up (RFC "
    "9147 section 4.5.2)") {
  Pair13 pair({.ask = true, .dtls = brisk()});
  pair.connect();
  pair.run([&] { return !pair.at_server.questions.empty(); });
  pair.deliver(Side::Client, wire::record(21, 0, 90, Bytes{2, 40}));
  pair.run([] { return false; }, pair.now + 3'500);
  REQUIRE(pair.server->asks(1));
  pair.server->answer(1, answerWith(0x42), {}, pair.now, pair.at_server);
  pair.run();
  REQUIRE(pair.bothOpen());
  exchangeMessages(pair);
}
