// Sessions of DTLS 1.3 that go on after a crash, with the row of a session store: docs/SESSIONS.md.
#include <random>
#include <set>

#include "dtls13_elsewhere.h"

using namespace mcbn;
using namespace mcbn::dtls13;
using namespace mcbn::dtls13::elsewhere;

TEST_CASE("dtls13 rows: new keys are used, and a KeyUpdate is answered, when a row says so") {
  const Pair13Options with = options(false);
  Pair13 pair(with);
  open(pair);
  Kept kept(pair, Side::Server, with);
  kept.keep();
  kept.write();
  // Ours: not sent before the row, and the keys not changed before the next.
  REQUIRE(pair.server->updateKeys(false, pair.now, pair.at_server));
  CHECK(pair.at_server.outgoing.empty());
  CHECK(pair.server->rowAwaited());
  kept.keep();
  kept.write();
  CHECK(pair.at_server.outgoing.size() == 1);
  pair.drain();
  CHECK(pair.server->association()->writeEpoch() == 4);
  REQUIRE(pair.server->send(wire::text("still with the keys before"), pair.now, pair.at_server));
  pair.drain();
  CHECK(pair.client->records().dropped().total() == 0);
  CHECK(pair.at_client.messages.size() == 1);
  CHECK(pair.client->records().reads(3));
  kept.keep();
  kept.write();
  exchangeMessages(pair);
  // The peer's: it waits for the ACK, however often it asks.
  REQUIRE(pair.client->updateKeys(false, pair.now, pair.at_client));
  pair.run([&] { return false; }, pair.now + 1'000);
  CHECK(pair.client->association()->writeEpoch() == 3);
  CHECK(pair.server->association()->readEpoch() == 4);
  kept.keep();
  kept.write();
  pair.run([&] { return pair.client->association()->writeEpoch() == 4; }, pair.now + 5'000);
  CHECK(pair.client->association()->writeEpoch() == 4);
  kept.keep();
  kept.write();
  pair.drain();
  exchangeMessages(pair);
}

TEST_CASE(
    "dtls13 rows: killed at any time, no number is used twice, no record taken twice, and "
    "the session goes on (seed 13)") {
  std::mt19937_64 random(13);
  for (unsigned run = 0; run < 30; ++run) {
    CAPTURE(run);
    const Pair13Options with = options(run % 2 == 0, kSuites[run % std::size(kSuites)]);
    Pair13 pair(with);
    open(pair);
    Kept client(pair, Side::Client, with), server(pair, Side::Server, with);
    Observer of_client(pair.server->ownConnectionIds()), of_server(pair.client->ownConnectionIds());
    std::vector<Bytes> to_server;
    const unsigned loss = run % 3 == 0 ? 0 : 10;
    pair.fate = [&](Side from, Bytes& bytes) {
      (from == Side::Client ? of_client : of_server).see(*sessionOf(pair, from), bytes);
      if (from == Side::Client) to_server.push_back(bytes);
      return random() % 100 < loss ? std::vector<Milliseconds>{}
                                   : std::vector<Milliseconds>{random() % 4};
    };
    unsigned said = 0;
    for (unsigned step = 0; step < 1'500; ++step) {
      const Side side = random() % 2 ? Side::Client : Side::Server;
      Dtls13Session& session = *sessionOf(pair, side);
      RecordingSink& sink = sinkOf(pair, side);
      Kept& kept = side == Side::Client ? client : server;
      switch (random() % 40) {
        case 0:
          session.updateKeys(random() % 2 == 0, pair.now, sink);
          break;
        case 1:
          if (kept.stored()) kept.crash();
          break;
        case 2:
          pair.run([] { return false; }, pair.now + random() % 1'500);
          break;
        case 3:
        case 4:
        case 5:
          kept.write();
          break;
        default:
          session.send(wire::text(std::to_string(said++)), pair.now, sink);
      }
      for (unsigned i = random() % 3; i > 0; --i) pair.step(pair.now + 20);
      client.keep();
      server.keep();
    }
    // A quiet end: what is due is written and told, and each KeyUpdate acknowledged, however late
    // it is repeated (RFC 9147 section 5.8.2: 60 s at most).
    const auto agree = [&] {
      const OpenAssociation& one = *pair.client->association();
      const OpenAssociation& other = *pair.server->association();
      return one.writeEpoch() == other.readEpoch() && other.writeEpoch() == one.readEpoch();
    };
    for (unsigned i = 0; i < 100 || (!agree() && i < 1'000); ++i) {
      for (Kept* const kept : {&client, &server}) {
        kept->keep();
        kept->write();
      }
      pair.step(pair.now + 60'000);
    }
    REQUIRE(pair.bothOpen());
    CHECK(agree());
    CHECK(of_client.twice() == 0);
    CHECK(of_server.twice() == 0);
    CHECK(of_client.seen() > 100);
    pair.fate = [](Side, Bytes&) { return std::vector<Milliseconds>{0}; };
    // Records of epochs that are gone look like forgeries, of which CCM_8 bears 128 (RFC 9147 section 4.5.3).
    if (with.suites[0] == &suite::kAes128Ccm8)
      to_server.resize(std::min<size_t>(to_server.size(), 100));
    for (const Bytes& datagram : std::vector(to_server)) pair.deliver(Side::Client, datagram);
    for (const RecordingSink* const sink : {&pair.at_client, &pair.at_server}) {
      CHECK(std::set(sink->messages.begin(), sink->messages.end()).size() == sink->messages.size());
    }
    // Numbers catch up with those that were skipped.
    const auto hears = [&](Side from, Side to) {
      const size_t before = sinkOf(pair, to).messages.size();
      for (unsigned i = 0; i < 400 && sinkOf(pair, to).messages.size() == before; ++i) {
        sessionOf(pair, from)
            ->send(wire::text("again " + std::to_string(said++)), pair.now, sinkOf(pair, from));
        client.keep();
        server.keep();
        client.write();
        server.write();
        pair.run([] { return false; }, pair.now + 100);
      }
      return sinkOf(pair, to).messages.size() > before;
    };
    CHECK(hears(Side::Client, Side::Server));
    CHECK(hears(Side::Server, Side::Client));
  }
}

TEST_CASE("dtls13 rows: while the store has yet to write, nothing is due again and again") {
  const Pair13Options with = options(false);
  Pair13 pair(with);
  open(pair);
  Kept kept(pair, Side::Server, with);
  kept.keep();
  kept.write();
  REQUIRE(pair.server->updateKeys(false, pair.now, pair.at_server));
  kept.keep();
  kept.write();
  kept.crash();
  // It may send nothing before the next row. What the peer says meanwhile is taken then, and asks for another one.
  for (unsigned i = 0; i < 16; ++i) {  // until its numbers have passed those that count as seen
    pair.client->send(wire::text("on and on"), pair.now, pair.at_client);
  }
  REQUIRE(pair.client->updateKeys(false, pair.now, pair.at_client));
  pair.drain();
  kept.keep();
  kept.write();
  REQUIRE(pair.server->association()->readEpoch() == 4);
  kept.keep();
  REQUIRE(kept.waits());
  const Milliseconds end = pair.now + 5'000;
  unsigned steps = 0;
  while (steps < 1'000 && pair.step(end)) steps += 1;
  CHECK(steps < 100);
  for (unsigned row = 0; row < 4; ++row) {
    kept.write();
    pair.run([] { return false; }, pair.now + 10'000);
    kept.keep();
  }
  CHECK(pair.client->association()->writeEpoch() == 4);
  CHECK(pair.server->association()->writeEpoch() == 4);
}

TEST_CASE(
    "dtls13 rows: eight crashes in a row, with nothing said between, leave the peer with a "
    "number that it can read (RFC 9147 section 4.2.2)") {
  const Pair13Options with = options(false);
  Pair13 pair(with);
  open(pair);
  Kept kept(pair, Side::Server, with);
  for (unsigned crash = 0; crash < 8; ++crash) {
    kept.keep();
    kept.write();
    kept.crash();
  }
  kept.keep();
  kept.write();
  REQUIRE(pair.server->send(wire::text("here"), pair.now, pair.at_server));
  pair.drain();
  CHECK(pair.at_client.messages == std::vector<Bytes>{wire::text("here")});
}
