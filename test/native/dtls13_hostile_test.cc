// DTLS 1.3 against those who damage, forge and break the rules, on the path and as peers.
#include <doctest/doctest.h>

#include <random>

#include "dtls13_hand_made.h"

using namespace mcbn;
using namespace mcbn::dtls13;

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

TEST_CASE(
    "dtls13 hostile: a forged ServerHello that makes sense costs the handshake, and opens nothing "
    "(RFC 9147 section 5.5)") {
  Pair13 pair(plain());
  unsigned count = 0;
  pair.fate = [&](Side from, Bytes&) {
    // Behind the HelloRetryRequest, and before the ServerHello.
    if (from == Side::Server && ++count == 2) {
      pair.deliver(from, wire::record(22, 0, 50, wire::message(2, 1, serverHello({}))));
    }
    return kAtOnce;
  };
  pair.connect();
  pair.run(60'000);
  CHECK(count > 2);
  CHECK(Pair13::codeOf(pair.at_client) == "MCBN_HANDSHAKE_TIMEOUT");
  CHECK_FALSE(pair.server->open());
}

TEST_CASE(
    "dtls13 hostile: forged HelloRetryRequests cost a client a start, not its session (RFC 9147 "
    "section 5.1)") {
  const auto isFirstHello = [](const Bytes& bytes) {
    return bytes[0] == 22 && bytes[13] == 1 && bytes[17] == 0 && bytes[18] == 0;
  };
  for (const uint16_t group : {uint16_t{0}, uint16_t{0x17}}) {
    for (const bool silent : {false, true}) {
      for (unsigned forgeries = 1; forgeries <= 3; ++forgeries) {
        CAPTURE(group);
        CAPTURE(silent);
        CAPTURE(forgeries);
        Pair13 pair({.dtls = brisk()});
        unsigned forged = 0;
        pair.fate = [&](Side from, Bytes& bytes) {
          if (from == Side::Client && forged < forgeries && isFirstHello(bytes)) {
            const Bytes cookie(20, static_cast<uint8_t>(++forged));
            const Bytes body = retryRequest(0x1301, group, cookie);
            pair.deliver(Side::Server, wire::record(22, 0, 70 + forged, wire::message(2, 0, body)));
          }
          // Servers may be silent about a cookie that is not theirs.
          const bool lost = silent && from == Side::Server && bytes[0] == 21;
          return lost ? std::vector<Milliseconds>{} : kAtOnce;
        };
        pair.connect();
        pair.run();
        REQUIRE(pair.bothOpen());
        CHECK(pair.accepted == 1);
        CHECK(pair.now <= 1'000 + 3'500);
        exchangeMessages(pair);
      }
    }
  }
}

TEST_CASE(
    "dtls13 hostile: a server that is slow to answer a second hello is waited for, and asked once "
    "(RFC 9147 section 5.8.2)") {
  Pair13 pair({.ask = true, .dtls = brisk()});
  pair.connect();
  pair.run([&] { return !pair.at_server.questions.empty(); });
  pair.run([] { return false; }, pair.now + 3'000);
  CHECK(pair.accepted == 1);
  CHECK(pair.at_server.questions.size() == 1);
  pair.server->answer(1, answerWith(0x42), {}, pair.now, pair.at_server);
  pair.run();
  REQUIRE(pair.bothOpen());
  exchangeMessages(pair);
}

TEST_CASE(
    "dtls13 hostile: HelloRetryRequests that nobody asked for do not move a client (RFC 8446 "
    "section 4.1.4)") {
  Pair13 pair({.ask = true, .dtls = brisk()});
  pair.connect();
  pair.run([&] { return !pair.at_server.questions.empty(); });
  const size_t before = pair.at_client.sent.size();
  for (uint8_t i = 0; i < 100; ++i) {
    const Bytes body = retryRequest(0x1301, 0, Bytes(20, i));
    pair.deliver(Side::Server, wire::record(22, 0, 70 + i, wire::message(2, 0, body)));
  }
  CHECK(pair.at_client.sent.size() == before);
  pair.server->answer(1, answerWith(0x42), {}, pair.now, pair.at_server);
  pair.run();
  CHECK(pair.bothOpen());
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
