// Sessions of DTLS 1.3 that go on elsewhere: docs/SESSIONS.md.
#include "dtls13_elsewhere.h"

using namespace mcbn;
using namespace mcbn::dtls13;
using namespace mcbn::dtls13::elsewhere;

TEST_CASE("dtls13 state: both sides go on elsewhere, with every suite, again and again") {
  for (const Suite* const suite : kSuites) {
    for (const bool with_ids : {false, true}) {
      CAPTURE(suite->name);
      CAPTURE(with_ids);
      const Pair13Options with = options(with_ids, suite);
      Pair13 pair(with);
      open(pair);
      std::array<uint8_t, 32> before{}, after{};
      REQUIRE(pair.server->exportKeyingMaterial("EXPORTER-test", {}, before));
      Observer client(pair.server->ownConnectionIds()), server(pair.client->ownConnectionIds());
      pair.fate = [&](Side from, Bytes& bytes) {
        (from == Side::Client ? client : server).see(*sessionOf(pair, from), bytes);
        return std::vector<Milliseconds>{0};
      };
      for (unsigned round = 0; round < 6; ++round) {
        move(pair, Side::Client, with);
        exchangeMessages(pair);
        move(pair, Side::Server, with);
        if (round % 2) REQUIRE(pair.client->updateKeys(true, pair.now, pair.at_client));
        pair.drain();
        exchangeMessages(pair);
      }
      CHECK(pair.client->association()->writeEpoch() == 6);
      CHECK(pair.server->association()->writeEpoch() == 6);
      CHECK(client.twice() + server.twice() == 0);
      CHECK(client.unread() + server.unread() == 0);
      REQUIRE(pair.client->exportKeyingMaterial("EXPORTER-test", {}, after));
      CHECK(before == after);
      CHECK(pair.server->identity() == "Client1");
      CHECK(pair.server->returnRoutability() == with_ids);
      CHECK(pair.server->describe().cipher == std::string(suite->name));
    }
  }
}

TEST_CASE("dtls13 state: a change of any bit is refused, and so is every shorter or longer copy") {
  const Pair13Options with = options(true);
  Pair13 pair(with);
  open(pair);
  Bytes bytes = sealed(*pair.server->takeState(pair.now));
  CHECK(bytes.size() <= 300);
  const auto context = contextFor(Role::Server);
  SessionSeal seal(kKey);
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= 1 << bit % 8;
    const SealFault fault = seal.unseal(bytes, *context).fault;
    CHECK(fault == (bit < 8 ? SealFault::Version : SealFault::Forged));
    bytes[bit / 8] ^= 1 << bit % 8;
  }
  for (size_t length = 0; length < bytes.size(); ++length) {
    CHECK(seal.unseal(ByteView(bytes).first(length), *context).fault == SealFault::Forged);
  }
  bytes.push_back(0);
  CHECK(seal.unseal(bytes, *context).fault == SealFault::Forged);
  bytes.pop_back();
  // Of one version never read as the other's.
  REQUIRE(bytes[0] == SessionSeal::kFormat13);
  bytes[0] = SessionSeal::kFormat12;
  CHECK(seal.unseal(bytes, *context).fault == SealFault::Forged);
  bytes[0] = SessionSeal::kFormat13;
  CHECK(seal.unseal(bytes, *contextFor(Role::Client)).fault == SealFault::WrongRole);
  CHECK(seal.unseal(bytes, *context).fault == SealFault::None);
  ImportedSessions imported;
  CHECK(imported.take(bytes));
  CHECK_FALSE(imported.take(bytes));
}

TEST_CASE("dtls13 state: what does not fit together is refused by its name") {
  Pair13 pair(options(true));
  open(pair);
  OpenState13 state = *pair.server->takeState(pair.now);
  const auto fault = [&](std::vector<const Suite*> suites = Settings().suites) {
    Settings settings;
    settings.suites = std::move(suites);
    return Dtls13Session::faultOf(state, settings);
  };
  CHECK(fault() == SealFault::None);
  CHECK(fault({&suite::kAes128Ccm}) == SealFault::Suite);
  state.suite = 0x1302;  // another hash, and longer secrets
  CHECK(fault() == SealFault::Malformed);
  state.suite = 0xc0a8;
  CHECK(fault() == SealFault::Suite);
  state.suite = 0x1301;
  state.messages = {{message_type::kKeyUpdate, {}}};
  CHECK(fault() == SealFault::Malformed);
  state.messages = {{message_type::kFinished, Bytes(32)}};
  CHECK(fault() == SealFault::Malformed);
  state.messages = {{message_type::kKeyUpdate, {0}}};
  CHECK(fault() == SealFault::None);
  // One more of a kind is only behind one that is under way: more than four could not be read again.
  state.messages.push_back({message_type::kKeyUpdate, {1}});
  CHECK(fault() == SealFault::Malformed);
  state.under_way = true;
  CHECK(fault() == SealFault::None);
  state.messages.push_back({message_type::kKeyUpdate, {1}});
  CHECK(fault() == SealFault::Malformed);
}

TEST_CASE("dtls13 state: at the end of an epoch's numbers a row takes none of them back") {
  constexpr uint64_t kEnd = uint64_t{1} << 48;
  for (const uint64_t epoch : {uint64_t{3}, uint64_t{4}}) {
    for (const uint64_t left : {uint64_t{100}, uint64_t{1}, uint64_t{0}}) {
      CAPTURE(epoch);
      CAPTURE(left);
      const Pair13Options with = options(false);
      Pair13 pair(with);
      open(pair);
      OpenState13 state = *pair.server->takeState(pair.now);
      state.older.reset();
      state.write.epoch = state.read.epoch = epoch;
      state.write.next = state.read.next = kEnd - left;
      Dtls13Session last(state, pair.server_settings, with.dtls, pair.now);
      last.reserve(true, with.dtls.mtu, pair.now);
      REQUIRE(last.rowDue(pair.now));
      const OpenState13 row = unsealed(sealed(last.row(pair.now)), Role::Server);
      CHECK(row.write.next >= state.write.next);
      CHECK(row.write.next <= kEnd);
      CHECK(row.read.next >= state.read.next);
      CHECK(row.read.next <= kEnd);
    }
  }
}

TEST_CASE("dtls13 state: authentic bytes that are no session break nothing (seed 13)") {
  const Pair13Options with = options(true);
  Pair13 pair(with);
  open(pair);
  REQUIRE(pair.client->updateKeys(false, pair.now, pair.at_client));
  pair.drain();
  REQUIRE(pair.server->giveConnectionIds({Bytes(8, 1)}, false, pair.now, pair.at_server));
  const PortableSession session{*pair.server->takeState(pair.now), somePeer(), 0};
  Bytes state;
  state_bytes::write(state, *session.of13(), session);
  for (size_t length = 0; length < state.size(); ++length) {
    const auto cut = state_bytes::parse13(ByteView(state).first(length), Role::Server);
    CHECK(cut.fault == SealFault::Malformed);
  }
  wire::Noise noise(13);
  unsigned taken = 0;
  for (unsigned round = 0; round < 4'000; ++round) {
    Bytes changed = state;
    for (size_t count = 1 + noise.below(4); count > 0; --count) {
      changed[noise.below(changed.size())] = static_cast<uint8_t>(noise.below(256));
    }
    auto opened = state_bytes::parse13(changed, Role::Server);
    if (!opened.session) continue;
    const OpenState13& read = *opened.session->of13();
    if (Dtls13Session::faultOf(read, *pair.server_settings) != SealFault::None) continue;
    taken += 1;
    RecordingSink sink;
    Dtls13Session revived(read, pair.server_settings, with.dtls, pair.now);
    revived.expire(pair.now, sink);
    revived.send(wire::text("hello"), pair.now, sink);
    Bytes datagram = pair.at_client.sent.back();
    revived.receive(datagram, pair.now, sink);
    revived.updateKeys(true, pair.now, sink);
    CHECK((!revived.portable() || revived.takeState(pair.now)));
    revived.close(sink);
  }
  CHECK(taken > 100);
}

TEST_CASE(
    "dtls13 state: handshakes stay where they are, and a client until its Finished is known") {
  Pair13 pair(options(false));
  CHECK_FALSE(pair.client->portable());
  CHECK_FALSE(pair.client->takeState(pair.now));
  pair.connect();
  pair.run([&] { return pair.client->open(); });
  CHECK_FALSE(pair.client->portable());
  pair.run();
  CHECK(pair.client->portable());
  CHECK(pair.server->portable());
}

TEST_CASE("dtls13 state: a Finished whose ACK was lost has another where the session goes on") {
  for (const bool crashed : {false, true}) {
    const Pair13Options with = options(false);
    Pair13 pair(with);
    Kept kept(pair, Side::Server, with);
    pair.fate = [&](Side from, Bytes&) {
      const bool acknowledges = from == Side::Server && pair.server && pair.server->open();
      return acknowledges ? std::vector<Milliseconds>{} : std::vector<Milliseconds>{0};
    };
    pair.connect();
    pair.run([&] { return pair.bothOpen(); });
    REQUIRE(pair.bothOpen());
    kept.keep();
    kept.write();
    CHECK_FALSE(pair.client->portable());
    if (crashed) {
      kept.crash();
      kept.keep();
      kept.write();
    } else {
      move(pair, Side::Server, with);
    }
    pair.fate = [](Side, Bytes&) { return std::vector<Milliseconds>{0}; };
    pair.run([&] { return pair.client->portable(); }, pair.now + 5'000);
    CHECK(pair.client->portable());
    // Of what the row had reserved eight numbers count as seen, and the next waits for a row.
    for (unsigned i = 0; crashed && i < 9; ++i) {
      REQUIRE(pair.client->send(wire::text("seen"), pair.now, pair.at_client));
    }
    pair.drain();
    CHECK(pair.at_server.messages.empty());
    kept.keep();
    kept.write();
    CHECK(pair.at_server.messages.size() == (crashed ? 1 : 0));
    exchangeMessages(pair);
  }
}

TEST_CASE("dtls13 state: a KeyUpdate under way is said again, and its answer understood") {
  for (const Side moves : {Side::Client, Side::Server}) {
    // Which datagram is lost while a client's KeyUpdate is under way: it, or its ACK.
    for (const unsigned lost : {0u, 1u, 2u}) {
      CAPTURE(moves == Side::Client);
      CAPTURE(lost);
      const Pair13Options with = options(true);
      Pair13 pair(with);
      open(pair);
      unsigned count = 0;
      pair.fate = [&](Side, Bytes&) {
        return count++ == lost ? std::vector<Milliseconds>{} : std::vector<Milliseconds>{0};
      };
      const Milliseconds began = pair.now;
      REQUIRE(pair.client->updateKeys(false, pair.now, pair.at_client));
      if (lost != 2) pair.drain();
      move(pair, moves, with);
      pair.run([&] { return pair.client->association()->writeEpoch() == 4; }, began + 5'000);
      CHECK(pair.client->association()->writeEpoch() == 4);
      CHECK(pair.server->association()->readEpoch() == 4);
      pair.fate = [](Side, Bytes&) { return std::vector<Milliseconds>{0}; };
      exchangeMessages(pair);
    }
  }
}

TEST_CASE("dtls13 state: a replay of what was heard before is refused, in both epochs to read") {
  const Pair13Options with = options(true);
  Pair13 pair(with);
  open(pair);
  std::vector<Bytes> heard;
  pair.fate = [&](Side from, Bytes& bytes) {
    if (from == Side::Client) heard.push_back(bytes);
    return std::vector<Milliseconds>{0};
  };
  for (unsigned round = 0; round < 3; ++round) {
    for (unsigned i = 0; i < 20; ++i) {
      REQUIRE(pair.client->send(wire::text(std::to_string(i)), pair.now, pair.at_client));
    }
    pair.drain();
    REQUIRE(pair.client->updateKeys(false, pair.now, pair.at_client));
    pair.drain();
  }
  move(pair, Side::Server, with);
  pair.at_server.messages.clear();
  for (const Bytes& datagram : std::vector(heard)) pair.deliver(Side::Client, datagram);
  CHECK(pair.at_server.messages.empty());
  exchangeMessages(pair);
}

TEST_CASE("dtls13 state: connection IDs given and spare ones go along") {
  const Pair13Options with = options(true);
  Pair13 pair(with);
  open(pair);
  REQUIRE(
      pair.server->giveConnectionIds({Bytes(8, 1), Bytes(8, 2)}, false, pair.now, pair.at_server));
  pair.drain();
  REQUIRE(pair.server->requestConnectionIds(1, pair.now, pair.at_server));
  move(pair, Side::Client, with);
  move(pair, Side::Server, with);
  pair.run([&] { return false; }, pair.now + 2'000);
  CHECK(pair.server->ownConnectionIds().size() == 3);
  // Unanswered until then, and no longer.
  CHECK(pair.server->requestConnectionIds(1, pair.now, pair.at_server));
  REQUIRE(pair.client->useSpareConnectionId());
  CHECK(pair.client->peerConnectionId()[0] == 1);
  exchangeMessages(pair);
  REQUIRE(pair.client->useSpareConnectionId());
  CHECK_FALSE(pair.client->useSpareConnectionId());
}
