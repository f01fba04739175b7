// What an open DTLS 1.3 association does besides carrying messages: key updates, connection IDs,
// closing.
#include <doctest/doctest.h>

#include <array>

#include "dtls13_exchange.h"

using namespace mcbn;
using namespace mcbn::dtls13;

namespace {

Pair13Options withIds(size_t client, size_t server) {
  return {.dtls = dtlsOptions(1'200, 10'000, 250),
          .client_id = Bytes(client, 0xC1),
          .server_id = Bytes(server, 0x5E)};
}

void open(Pair13& pair) {
  pair.connect();
  pair.run([&] { return pair.bothOpen() && pair.client->deadline() == kNever; });
  REQUIRE(pair.bothOpen());
  pair.drain();
}

uint64_t writeEpoch(const std::unique_ptr<Dtls13Session>& session) {
  return session->association()->writeEpoch();
}
uint64_t readEpoch(const std::unique_ptr<Dtls13Session>& session) {
  return session->association()->readEpoch();
}

}  // namespace

TEST_CASE(
    "dtls13 open: new keys are used only after the ACK of the KeyUpdate (RFC 9147 section 8)") {
  Pair13 pair;
  open(pair);
  REQUIRE(pair.client->updateKeys(false, pair.now, pair.at_client));
  CHECK(writeEpoch(pair.client) == 3);
  REQUIRE(pair.client->send(wire::text("old"), pair.now, pair.at_client));
  pair.drain();
  CHECK(writeEpoch(pair.client) == 4);
  CHECK(readEpoch(pair.server) == 4);
  CHECK(writeEpoch(pair.server) == 3);
  CHECK(pair.at_server.messages == std::vector<Bytes>{wire::text("old")});
  exchangeMessages(pair);
}

TEST_CASE(
    "dtls13 open: update_requested renews both directions, many times (RFC 8446 section 4.6.3)") {
  Pair13 pair({.suites = {&suite::kAes256Gcm}, .hash = PskHash::Sha384});
  open(pair);
  for (unsigned round = 1; round <= 20; ++round) {
    auto& asks = round % 2 ? pair.client : pair.server;
    REQUIRE(asks->updateKeys(true, pair.now, round % 2 ? pair.at_client : pair.at_server));
    pair.drain();
    CHECK(writeEpoch(pair.client) == 3 + round);
    CHECK(writeEpoch(pair.server) == 3 + round);
    exchangeMessages(pair);
  }
}

TEST_CASE(
    "dtls13 open: KeyUpdates that cross are both followed, and answered (RFC 8446 section 4.6.3)") {
  Pair13 pair;
  open(pair);
  REQUIRE(pair.client->updateKeys(true, pair.now, pair.at_client));
  REQUIRE(pair.server->updateKeys(true, pair.now, pair.at_server));
  pair.drain();
  CHECK(writeEpoch(pair.client) == 5);
  CHECK(writeEpoch(pair.server) == 5);
  exchangeMessages(pair);
}

TEST_CASE(
    "dtls13 open: a KeyUpdate survives the loss of any two datagrams (RFC 9147 sections 5.8.4, "
    "8)") {
  for (unsigned first = 0; first < 6; ++first) {
    for (unsigned second = first; second < 6; ++second) {
      for (const std::vector<Milliseconds>& fate :
           {std::vector<Milliseconds>{}, {0, 0}, {15}, {700}}) {
        CAPTURE(first);
        CAPTURE(second);
        CAPTURE(fate.size());
        Pair13 pair({.client_modes = kPskKe,
                     .server_modes = kPskKe,
                     .dtls = dtlsOptions(1'200, 10'000, 250)});
        open(pair);
        unsigned count = 0;
        pair.fate = [&](Side, Bytes&) {
          const unsigned index = count++;
          return index == first || index == second ? fate : std::vector<Milliseconds>{0};
        };
        const Milliseconds began = pair.now;
        REQUIRE(pair.client->updateKeys(true, pair.now, pair.at_client));
        pair.run([&] { return writeEpoch(pair.client) == 4 && writeEpoch(pair.server) == 4; },
                 began + 3'000);
        CHECK(writeEpoch(pair.client) == 4);
        CHECK(writeEpoch(pair.server) == 4);
        pair.fate = [](Side, Bytes&) { return std::vector<Milliseconds>{0}; };
        pair.run([&] { return false; }, began + 5'000);
        CHECK(writeEpoch(pair.client) == 4);
        exchangeMessages(pair);
      }
    }
  }
}

TEST_CASE("dtls13 open: one KeyUpdate at a time is under way (RFC 9147 section 8)") {
  Pair13 pair;
  open(pair);
  for (unsigned i = 0; i < 5; ++i) pair.client->updateKeys(false, pair.now, pair.at_client);
  CHECK(pair.at_client.outgoing.size() == 1);
  pair.drain();
  // The one under way, and one for all the wishes since.
  CHECK(writeEpoch(pair.client) == 5);
  exchangeMessages(pair);
}

TEST_CASE("dtls13 open: connection IDs of 0 to 20 bytes, from epoch 2 on (RFC 9147 section 9)") {
  for (const size_t of_client : {0U, 1U, 8U, 20U}) {
    for (const size_t of_server : {0U, 5U, 20U}) {
      CAPTURE(of_client);
      CAPTURE(of_server);
      Pair13 pair(withIds(of_client, of_server));
      pair.fate = [&](Side from, Bytes& bytes) {
        const bool encrypted = bytes[0] >> 5 == 1;
        const size_t expected = from == Side::Client ? of_server : of_client;
        if (encrypted) CHECK((bytes[0] >> 4 & 1) == (expected > 0 ? 1 : 0));
        return std::vector<Milliseconds>{0};
      };
      open(pair);
      CHECK(pair.client->peerConnectionId().size() == of_server);
      CHECK(pair.server->peerConnectionId().size() == of_client);
      exchangeMessages(pair);
      pair.client->updateKeys(true, pair.now, pair.at_client);
      pair.drain();
      exchangeMessages(pair);
    }
  }
}

TEST_CASE(
    "dtls13 open: a connection ID that leaves no room in a datagram is not taken (RFC 9146 section "
    "3)") {
  Pair13Options options = withIds(255, 4);
  options.dtls.mtu = 256;
  Pair13 pair(options);
  open(pair);
  CHECK(pair.server->peerConnectionId().empty());
  CHECK(pair.client->peerConnectionId().empty());
  CHECK(pair.at_server.largest > 200);
  exchangeMessages(pair);
  // A server that insists on one is named.
  options = withIds(4, 255);
  options.dtls.mtu = 256;
  Pair13 other(options);
  other.connect();
  other.run([&] { return other.client->state() == Dtls13Session::State::Ended; });
  CHECK(Pair13::codeOf(other.at_client) == "MCBN_HANDSHAKE_FAILED");
  CHECK(other.at_client.endings[0]->message.find("raise mtu") != std::string::npos);
}

TEST_CASE(
    "dtls13 open: keys that are old are renewed by what happens next, in each direction (RFC 9147 "
    "section 8)") {
  Pair13 pair({.key_update_interval = 10'000});
  open(pair);
  exchangeMessages(pair);
  CHECK(writeEpoch(pair.client) == 3);
  // A silent session is left alone.
  pair.run([] { return false; }, pair.now + 100'000);
  CHECK(pair.client->deadline() == kNever);
  pair.now += 10'000;
  exchangeMessages(pair);
  CHECK(writeEpoch(pair.client) == 4);
  CHECK(writeEpoch(pair.server) == 4);
  pair.now += 9'000;
  exchangeMessages(pair);
  CHECK(writeEpoch(pair.client) == 4);
  // What the peer has renewed by itself is not asked for.
  pair.server->updateKeys(false, pair.now, pair.at_server);
  pair.drain();
  CHECK(writeEpoch(pair.server) == 5);
  pair.now += 2'000;
  REQUIRE(pair.client->send(wire::text("up"), pair.now, pair.at_client));
  pair.drain();
  CHECK(writeEpoch(pair.client) == 5);
  CHECK(writeEpoch(pair.server) == 5);
  CHECK(pair.client->stats().key_updates_sent == 2);
  CHECK(pair.client->stats().key_updates_received == 2);
  exchangeMessages(pair);
}

TEST_CASE(
    "dtls13 open: connection IDs that one side alone offers are not used (RFC 9146 section 3)") {
  for (const bool client : {true, false}) {
    Pair13Options options;
    (client ? options.client_id : options.server_id) = Bytes(8, 0xC1);
    Pair13 pair(options);
    open(pair);
    CHECK(pair.client->peerConnectionId().empty());
    CHECK(pair.server->ownConnectionIds().empty());
    exchangeMessages(pair);
  }
}

TEST_CASE(
    "dtls13 open: new connection IDs replace old ones, at once or as spares (RFC 9147 section 9)") {
  Pair13 pair(withIds(4, 4));
  open(pair);
  REQUIRE(pair.server->giveConnectionIds({Bytes(4, 0x01), Bytes(4, 0x02)}, true, pair.now,
                                         pair.at_server));
  pair.drain();
  CHECK(Bytes(pair.client->peerConnectionId().begin(), pair.client->peerConnectionId().end()) ==
        Bytes(4, 0x01));
  exchangeMessages(pair);
  REQUIRE(pair.client->useSpareConnectionId());
  CHECK(pair.client->peerConnectionId()[0] == 0x02);
  exchangeMessages(pair);
  CHECK(!pair.client->useSpareConnectionId());
  // Spares alone change nothing.
  REQUIRE(pair.client->giveConnectionIds({Bytes(4, 0x03)}, false, pair.now, pair.at_client));
  pair.drain();
  CHECK(pair.server->peerConnectionId()[0] == 0xC1);
  REQUIRE(pair.server->useSpareConnectionId());
  exchangeMessages(pair);
  // No more than can be kept, and one list at a time.
  CHECK(!pair.server->giveConnectionIds(std::vector<Bytes>(14, Bytes(4, 9)), true, pair.now,
                                        pair.at_server));
  pair.server->updateKeys(false, pair.now, pair.at_server);
  CHECK(pair.server->giveConnectionIds({Bytes(4, 9)}, false, pair.now, pair.at_server));
  CHECK(!pair.server->giveConnectionIds({Bytes(4, 9)}, false, pair.now, pair.at_server));
  pair.drain();
  // IDs of another length could not be told apart.
  CHECK(!pair.server->giveConnectionIds({Bytes(5, 0x04)}, true, pair.now, pair.at_server));
}

TEST_CASE(
    "dtls13 open: a RequestConnectionId is answered, with no IDs where there are none (RFC 9147 "
    "section 9)") {
  Pair13 pair(withIds(4, 4));
  open(pair);
  REQUIRE(pair.client->requestConnectionIds(3, pair.now, pair.at_client));
  // Not while one is unanswered.
  CHECK(!pair.client->requestConnectionIds(3, pair.now, pair.at_client));
  pair.drain();
  CHECK(pair.bothOpen());
  REQUIRE(pair.client->requestConnectionIds(3, pair.now, pair.at_client));
  pair.drain();
  CHECK(!pair.client->useSpareConnectionId());
  Pair13 none;
  open(none);
  CHECK(!none.client->requestConnectionIds(3, none.now, none.at_client));
  CHECK(!none.client->giveConnectionIds({Bytes(4, 1)}, true, none.now, none.at_client));
}

TEST_CASE(
    "dtls13 open: close_notify ends the peer in any epoch, and is answered (RFC 8446 section "
    "6.1)") {
  for (const bool updated : {false, true}) {
    Pair13 pair;
    open(pair);
    if (updated) {
      pair.client->updateKeys(true, pair.now, pair.at_client);
      pair.drain();
    }
    pair.client->close(pair.at_client);
    pair.drain();
    REQUIRE(pair.at_server.endings.size() == 1);
    CHECK(!pair.at_server.endings[0]);
    CHECK(pair.server->state() == Dtls13Session::State::Ended);
    CHECK(!pair.server->send(wire::text("late"), pair.now, pair.at_server));
    CHECK(pair.at_client.endings.empty());
  }
}

TEST_CASE("dtls13 open: a client that gives up its handshake says so") {
  Pair13 pair({.ask = true});
  pair.connect();
  pair.run([&] { return !pair.at_server.questions.empty(); });
  pair.client->close(pair.at_client);
  pair.drain();
  pair.run([&] { return pair.server->state() == Dtls13Session::State::Ended; });
  CHECK(Pair13::codeOf(pair.at_server) == "MCBN_HANDSHAKE_FAILED");
}

TEST_CASE(
    "dtls13 open: a server that gives up tells a client that is open already (RFC 8446 section "
    "6.1)") {
  Pair13 pair;
  pair.connect();
  pair.run([&] { return pair.client->open(); });
  REQUIRE(pair.server->awaitsFinished());
  pair.server->close(pair.at_server);
  pair.drain();
  REQUIRE(pair.at_client.endings.size() == 1);
  CHECK(!pair.at_client.endings[0]);
  CHECK(pair.client->state() == Dtls13Session::State::Ended);
}

TEST_CASE(
    "dtls13 open: a server forgets the keys of epoch 2 after twice the MSL (RFC 9147 section "
    "5.8.1)") {
  Pair13 pair;
  open(pair);
  CHECK(pair.server->records().reads(2));
  CHECK(!pair.client->records().reads(2));
  pair.run([&] { return !pair.server->records().reads(2); }, kNever - 1);
  CHECK(pair.now >= 1'000 + 240'000);
  CHECK(pair.server->deadline() == kNever);
  exchangeMessages(pair);
}

TEST_CASE("dtls13 open: messages are sent where they lie, up to the largest that fits") {
  Pair13 pair(withIds(8, 8));
  open(pair);
  const Records& records = pair.client->records();
  const size_t before = records.before(3), behind = records.behind(3);
  std::vector<Bytes> rooms;
  std::vector<MutableBytes> messages;
  for (const size_t size : {size_t{0}, size_t{1}, pair.at_client.largest}) {
    rooms.emplace_back(before + size + behind, 0x77);
    messages.push_back(MutableBytes(rooms.back()).subspan(before, size));
  }
  CHECK(pair.client->sendInPlace(messages, pair.now, pair.at_client) == 3);
  CHECK(pair.at_client.outgoing.back().size() == 1'200);
  pair.drain();
  REQUIRE(pair.at_server.messages.size() == 3);
  CHECK(pair.at_server.messages[2] == Bytes(pair.at_client.largest, 0x77));
}

TEST_CASE("dtls13 open: the key log names the secrets that Wireshark asks for (RFC 9850)") {
  Pair13Options options;
  options.dtls.keylog = true;
  Pair13 pair(options);
  open(pair);
  for (const char* name :
       {"CLIENT_HANDSHAKE_TRAFFIC_SECRET ", "SERVER_HANDSHAKE_TRAFFIC_SECRET ",
        "CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 ", "EXPORTER_SECRET "}) {
    const auto line = [&](const RecordingSink& sink) {
      const auto found = std::ranges::find_if(
          sink.lines, [&](const std::string& text) { return text.starts_with(name); });
      return found == sink.lines.end() ? std::string() : *found;
    };
    CHECK(!line(pair.at_client).empty());
    CHECK(line(pair.at_client) == line(pair.at_server));
  }
}

TEST_CASE("dtls13 open: nothing in the clear is answered any more (RFC 9147 section 6.1)") {
  Pair13 pair;
  open(pair);
  const size_t by_server = pair.at_server.sent.size(), by_client = pair.at_client.sent.size();
  for (const Bytes& hello : std::vector<Bytes>(pair.at_client.sent)) {
    if (hello[0] == 22) pair.deliver(Side::Client, hello);
  }
  pair.deliver(Side::Client, wire::record(22, 0, 9, wire::message(1, 3, Bytes(40, 1))));
  pair.deliver(Side::Server, wire::record(22, 0, 9, wire::message(2, 1, Bytes(40, 1))));
  pair.deliver(Side::Server, wire::record(26, 0, 9, Bytes{0, 0}));
  // The first hello is the cookie exchange's, which knows no sessions.
  CHECK(pair.at_server.sent.size() == by_server + 1);
  CHECK(pair.at_client.sent.size() == by_client);
  CHECK(pair.bothOpen());
  exchangeMessages(pair);
}

TEST_CASE("dtls13 inbox: a client with a key has a server keep 8 KB of what it does not complete") {
  const auto part = [](uint16_t sequence, uint32_t length) {
    static const Bytes body(1);
    return HandshakeFragment{
        .type = 24, .length = length, .messageSequence = sequence, .offset = 0, .body = body};
  };
  using Added = MessageInbox::Added;
  Messages of_server(Role::Server, {}), of_client(Role::Client, {});
  CHECK(of_server.inbox().add(part(0, 2'049), 3) == Added::Refused);
  CHECK(of_server.inbox().idle());
  CHECK(of_server.inbox().add(part(0, 2'048), 3) == Added::Kept);
  // A server's ticket may be long.
  CHECK(of_client.inbox().add(part(0, 16'384), 3) == Added::Kept);
  CHECK(of_client.inbox().add(part(1, 16'385), 3) == Added::Refused);
}
