// DTLS 1.3 against peers that break its rules: servers in the clear, and peers that have the keys.
#include <doctest/doctest.h>

#include "dtls13_hand_made.h"

using namespace mcbn;
using namespace mcbn::dtls13;

namespace {

// A record of epoch 2 made with the secret of this name in the key log.
Bytes inEpoch2(const RecordingSink& logged, const std::string& name, const Bytes& content) {
  const auto line = std::ranges::find_if(
      logged.lines, [&](const std::string& text) { return text.starts_with(name + " "); });
  REQUIRE(line != logged.lines.end());
  const Bytes secret = wire::fromHex(std::string_view(*line).substr(line->rfind(' ') + 1));
  return Voice(2, suite::kAes128Gcm, Secret(secret)).says(content);
}

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

}  // namespace

TEST_CASE("dtls13 rules: servers that break RFC 8446 section 4.1 are named") {
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
      {"a return routability check without a connection ID",
       {{0, serverHello({.return_routability = true})}},
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

TEST_CASE("dtls13 rules: a client with psk_dhe_ke accepts no psk_ke (RFC 8446 section 4.2.9)") {
  LoneClient client({.dtls = brisk()});
  client.hear(2, 0, serverHello({}));
  CHECK(client.end() == "MCBN_PROTOCOL_ERROR");
  LoneClient same_group({.dtls = brisk()});
  same_group.hear(2, 0, retryRequest(0x1301, 0x1D, Bytes(8, 1)));
  CHECK(same_group.end() == "MCBN_PROTOCOL_ERROR");
}

TEST_CASE(
    "dtls13 rules: what has no place in an open association ends it (RFC 9147 section 9, RFC "
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
    Dtls13Session& victim = each.to_client ? *pair.client : *pair.server;
    RecordingSink& sink = each.to_client ? pair.at_client : pair.at_server;
    const auto& peer = each.to_client ? pair.server : pair.client;
    const uint16_t sequence = each.to_client ? 4 : 3;
    Bytes datagram = Voice(*peer).says(wire::message(each.type, sequence, each.body));
    victim.receive(datagram, pair.now, sink);
    CHECK(victim.state() == Dtls13Session::State::Ended);
    CHECK(Pair13::codeOf(sink) == "MCBN_PROTOCOL_ERROR");
  }
}

TEST_CASE(
    "dtls13 rules: a ticket is acknowledged and dropped (RFC 8446 section 4.6.1, RFC 9147 "
    "section 7)") {
  Pair13 pair(plain());
  pair.connect();
  pair.run([&] { return pair.bothOpen() && pair.client->deadline() == kNever; });
  Voice server(*pair.server);
  Bytes datagram = server.says(wire::message(4, 4, Bytes(321, 1)));
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
    "dtls13 rules: a server of DTLS 1.2, by its HelloVerifyRequest, is named (RFC 9147 section "
    "5.2)") {
  LoneClient client(plain());
  Bytes body;
  Writer(body).u16(0xFEFD).u8(20).bytes(Bytes(20, 1));
  client.hear(3, 0, body);
  CHECK(client.end() == "MCBN_HANDSHAKE_FAILED");
  CHECK(client.pair.at_client.endings[0]->alert == alert::kProtocolVersion);
}

TEST_CASE(
    "dtls13 rules: a long ticket is taken, and one beyond all sense is not (RFC 9147 section "
    "5.5)") {
  Pair13 pair(plain());
  pair.connect();
  pair.run([&] { return pair.bothOpen() && pair.client->deadline() == kNever; });
  Voice server(*pair.server);
  Bytes datagram = server.says(wire::message(4, 4, Bytes(9'000, 1)));
  const size_t before = pair.at_client.sent.size();
  pair.client->receive(datagram, pair.now, pair.at_client);
  CHECK(pair.at_client.sent.size() == before + 1);
  datagram = server.says(wire::fragment(4, 5, Bytes(20'000, 1), 0, 9'000));
  pair.client->receive(datagram, pair.now, pair.at_client);
  CHECK(pair.client->open());
  CHECK(pair.at_client.sent.size() == before + 1);
}

TEST_CASE(
    "dtls13 rules: a Finished that does not fit ends the handshake on either side (RFC 8446 "
    "section 4.4.4)") {
  for (const bool of_server : {true, false}) {
    CAPTURE(of_server);
    Pair13Options options = plain();
    options.dtls.keylog = true;
    options.dtls.mtu = 150;  // the server's Finished is a datagram by itself
    Pair13 pair(options);
    pair.fate = [&](Side from, Bytes& bytes) {
      const bool encrypted = bytes[0] >> 5 == 1;
      const bool lost = encrypted && from == (of_server ? Side::Server : Side::Client);
      return lost ? std::vector<Milliseconds>{} : kAtOnce;
    };
    pair.connect();
    pair.drain();
    const char* const name =
        of_server ? "SERVER_HANDSHAKE_TRAFFIC_SECRET" : "CLIENT_HANDSHAKE_TRAFFIC_SECRET";
    const Bytes forged = inEpoch2(of_server ? pair.at_server : pair.at_client, name,
                                  wire::message(20, of_server ? 3 : 2, Bytes(32, 0x66)));
    pair.deliver(of_server ? Side::Server : Side::Client, forged);
    RecordingSink& sink = of_server ? pair.at_client : pair.at_server;
    REQUIRE(sink.endings.size() == 1);
    CHECK(Pair13::codeOf(sink) == "MCBN_HANDSHAKE_FAILED");
    CHECK(sink.endings[0]->alert == alert::kDecryptError);
    CHECK(sink.opens.empty());
  }
}
