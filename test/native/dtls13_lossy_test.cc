// DTLS 1.3 on a network that loses, doubles, delays and reorders. Time is a number, chance has a seed.
#include <doctest/doctest.h>

#include <random>

#include "dtls13_exchange.h"

using namespace mcbn;
using namespace mcbn::dtls13;

namespace {

constexpr Milliseconds kBound = 3'000;
// Fates of one datagram: lost, doubled, overtaken by what comes within 15 ms, and by its repetition.
const std::vector<std::vector<Milliseconds>> kFates = {{}, {0, 0}, {15}, {400}};

DtlsOptions brisk(size_t mtu = 1'200) { return dtlsOptions(mtu, 10'000, 250); }

// Both open, nothing of the handshake left to be acknowledged, and messages pass.
void checkComplete(Pair13& pair, Milliseconds began) {
  const auto complete = [&] { return pair.bothOpen() && pair.client->deadline() == kNever; };
  pair.run(complete, began + kBound);
  REQUIRE(complete());
  pair.fate = [](Side, Bytes&) { return std::vector<Milliseconds>{0}; };
  pair.drain();
  exchangeMessages(pair);
}

}  // namespace

TEST_CASE(
    "dtls13: opens within 3 s whichever one or two datagrams go astray (RFC 9147 section 5.8)") {
  constexpr unsigned kDatagrams = 7;  // two hellos, a retry, a flight, a Finished, an ACK, and one
  for (unsigned first = 0; first < kDatagrams; ++first) {
    for (unsigned second = first; second < kDatagrams; ++second) {
      for (const auto& fate_of_first : kFates) {
        for (const auto& fate_of_second : kFates) {
          if (first == second && &fate_of_first != &fate_of_second) continue;
          CAPTURE(first);
          CAPTURE(second);
          CAPTURE(fate_of_first.size());
          CAPTURE(fate_of_second.size());
          Pair13 pair({.client_modes = kPskKe, .server_modes = kPskKe, .dtls = brisk()});
          unsigned count = 0;
          pair.fate = [&](Side, Bytes&) {
            const unsigned index = count++;
            if (index == first) return fate_of_first;
            if (index == second) return fate_of_second;
            return std::vector<Milliseconds>{0};
          };
          pair.connect();
          checkComplete(pair, 1'000);
        }
      }
    }
  }
}

TEST_CASE("dtls13: the same in datagrams of 256 bytes (RFC 9147 section 5.5)") {
  constexpr unsigned kDatagrams = 10;
  for (unsigned first = 0; first < kDatagrams; ++first) {
    for (unsigned second = first; second < kDatagrams; ++second) {
      for (const auto& fate : kFates) {
        CAPTURE(first);
        CAPTURE(second);
        CAPTURE(fate.size());
        Pair13 pair(
            {.client_groups = {Group::Secp256r1}, .identity = "Client1", .dtls = brisk(256)});
        unsigned count = 0;
        pair.fate = [&](Side, Bytes&) {
          const unsigned index = count++;
          return index == first || index == second ? fate : std::vector<Milliseconds>{0};
        };
        pair.connect();
        checkComplete(pair, 1'000);
      }
    }
  }
}

TEST_CASE("dtls13: ends open or in a typed failure under 0 to 50 % random loss (seeds)") {
  for (const unsigned percent : {0U, 10U, 20U, 30U, 40U, 50U}) {
    unsigned opened = 0;
    constexpr unsigned kRuns = 60;
    for (unsigned seed = 0; seed < kRuns; ++seed) {
      CAPTURE(percent);
      CAPTURE(seed);
      Pair13 pair({.client_modes = kPskKe, .server_modes = kPskKe, .dtls = brisk()});
      std::mt19937 chance(seed * 100 + percent);
      pair.fate = [&](Side, Bytes&) {
        if (chance() % 100 < percent) return std::vector<Milliseconds>{};
        std::vector<Milliseconds> delays{chance() % 40};
        if (chance() % 10 == 0) delays.push_back(chance() % 200);
        return delays;
      };
      pair.connect();
      pair.run(
          [&] {
            const bool client = pair.client->state() == Dtls13Session::State::Ended ||
                                (pair.client->open() && pair.client->deadline() == kNever);
            const bool server =
                !pair.server || pair.server->state() != Dtls13Session::State::Handshaking;
            return client && server;
          },
          1'000 + 22'000);
      if (pair.client->open() && pair.server->open()) {
        opened += 1;
        continue;
      }
      const std::string at_client = Pair13::codeOf(pair.at_client);
      const std::string at_server = Pair13::codeOf(pair.at_server);
      CHECK((at_client == "MCBN_HANDSHAKE_TIMEOUT" || at_server == "MCBN_HANDSHAKE_TIMEOUT"));
    }
    MESSAGE(percent, " % loss: ", opened, " of ", kRuns, " open");
    if (percent == 0) CHECK(opened == kRuns);
    if (percent <= 30) CHECK(opened >= kRuns - 3);
  }
}

TEST_CASE(
    "dtls13: a server that hears no more than a hello ends in time (RFC 9147 section 5.8.1)") {
  Pair13 pair({.dtls = brisk()});
  pair.fate = [&](Side from, Bytes&) {
    const bool gone = from == Side::Client && pair.server;
    return gone ? std::vector<Milliseconds>{} : std::vector<Milliseconds>{0};
  };
  pair.connect();
  pair.run([&] { return pair.server && pair.server->state() == Dtls13Session::State::Ended; },
           30'000);
  CHECK(Pair13::codeOf(pair.at_server) == "MCBN_HANDSHAKE_TIMEOUT");
  // 250 ms, then twice as long each time.
  CHECK(pair.server->stats().retransmits == 5);
  pair.run([&] { return pair.client->state() == Dtls13Session::State::Ended; }, 30'000);
  CHECK(Pair13::codeOf(pair.at_client) == "MCBN_HANDSHAKE_TIMEOUT");
}

TEST_CASE("dtls13: only what was not acknowledged is sent again (RFC 9147 section 7.2)") {
  // The server's flight does not fit one datagram: the second one is lost.
  Pair13 pair({.dtls = brisk(190)});
  unsigned of_server = 0;
  std::vector<size_t> sizes;
  pair.fate = [&](Side from, Bytes& bytes) {
    if (from == Side::Server) {
      sizes.push_back(bytes.size());
      if (++of_server == 3) return std::vector<Milliseconds>{};
    }
    return std::vector<Milliseconds>{0};
  };
  pair.connect();
  pair.run();
  REQUIRE(pair.bothOpen());
  // HelloRetryRequest, ServerHello, the lost rest, and that rest again after the client's ACK.
  REQUIRE(sizes.size() >= 4);
  CHECK(sizes[3] == sizes[2]);
  CHECK(pair.server->stats().retransmits == 1);
  CHECK(pair.client->stats().retransmits == 0);
  // A quarter of the time after which the server would have done it unasked.
  CHECK(pair.now < 1'000 + 250);
}

TEST_CASE(
    "dtls13: of a message in fragments, too, only what did not come is sent again (RFC 9147 "
    "section 7.2)") {
  // The ServerHello does not fit one datagram: its last bytes are lost, with what is beside them.
  Pair13 pair({.client_groups = {Group::Secp256r1},
               .server_groups = {Group::Secp256r1},
               .dtls = brisk(146)});
  std::vector<Bytes> of_server;
  pair.fate = [&](Side from, Bytes& bytes) {
    if (from == Side::Server) of_server.push_back(bytes);
    const bool lost = from == Side::Server && of_server.size() == 3;
    return lost ? std::vector<Milliseconds>{} : std::vector<Milliseconds>{0};
  };
  pair.connect();
  pair.run();
  REQUIRE(pair.bothOpen());
  REQUIRE(of_server.size() >= 4);
  const auto offsetIn = [](const Bytes& datagram) {
    const ByteView record = Pair13::nextRecordOf(datagram);
    Reader reader(record);
    return nextFragment(reader)->offset;
  };
  // HelloRetryRequest, first half, the lost datagram, and that again without the first half.
  CHECK(offsetIn(of_server[1]) == 0);
  CHECK(offsetIn(of_server[2]) > 0);
  CHECK(of_server[3].size() == of_server[2].size());
  CHECK(offsetIn(of_server[3]) == offsetIn(of_server[2]));
}

TEST_CASE("dtls13: an empty ACK hurries a ServerHello that was lost (RFC 9147 section 7.1)") {
  Pair13 pair({.dtls = brisk(190)});
  unsigned of_server = 0;
  pair.fate = [&](Side from, Bytes&) {
    const bool lost = from == Side::Server && ++of_server == 2;
    return lost ? std::vector<Milliseconds>{} : std::vector<Milliseconds>{0};
  };
  pair.connect();
  pair.run();
  REQUIRE(pair.bothOpen());
  CHECK(pair.server->stats().retransmits == 1);
  CHECK(pair.now < 1'000 + 250);
  exchangeMessages(pair);
}

TEST_CASE(
    "dtls13: the ACK of a Finished is repeated as often as it is lost (RFC 9147 section 5.8.1)") {
  Pair13 pair({.dtls = brisk()});
  unsigned acks = 0;
  pair.fate = [&](Side from, Bytes&) {
    const bool lost = from == Side::Server && pair.bothOpen() && ++acks <= 4;
    return lost ? std::vector<Milliseconds>{} : std::vector<Milliseconds>{0};
  };
  pair.connect();
  pair.run([&] { return pair.bothOpen() && pair.client->deadline() == kNever; });
  CHECK(acks == 5);
  CHECK(pair.client->open());
  CHECK(pair.at_server.opens.size() == 1);
  exchangeMessages(pair);
}

TEST_CASE("dtls13: a client whose Finished is never acknowledged says so in time") {
  Pair13 pair({.dtls = brisk()});
  pair.fate = [&](Side from, Bytes&) {
    const bool lost = from == Side::Server && pair.client->open();
    return lost ? std::vector<Milliseconds>{} : std::vector<Milliseconds>{0};
  };
  pair.connect();
  pair.run([&] { return pair.client->state() == Dtls13Session::State::Ended; }, 30'000);
  CHECK(Pair13::codeOf(pair.at_client) == "MCBN_HANDSHAKE_TIMEOUT");
}

TEST_CASE("dtls13: data that overtakes the Finished waits for it (RFC 9147 section 5.8.1)") {
  Pair13 pair({.dtls = brisk()});
  pair.fate = [&](Side from, Bytes&) {
    const bool finished =
        from == Side::Client && pair.client->open() && pair.client->stats().messages_sent == 0;
    return std::vector<Milliseconds>{finished ? Milliseconds{50} : Milliseconds{0}};
  };
  pair.connect();
  pair.run([&] { return pair.client->open(); });
  for (const char* text : {"one", "two"}) {
    REQUIRE(pair.client->send(wire::text(text), pair.now, pair.at_client));
  }
  pair.run([&] { return pair.server->stats().datagrams_received >= 2; });
  CHECK(pair.at_server.messages.empty());
  pair.run();
  CHECK(pair.at_server.messages == std::vector<Bytes>{wire::text("one"), wire::text("two")});
}

TEST_CASE(
    "dtls13: a round trip is not taken from a flight that was repeated (RFC 6298 section 3)") {
  Pair13 pair({.dtls = brisk()});
  unsigned of_server = 0;
  pair.fate = [&](Side from, Bytes&) {
    const bool lost = from == Side::Server && ++of_server == 2;
    return lost ? std::vector<Milliseconds>{} : std::vector<Milliseconds>{0};
  };
  pair.connect();
  pair.run();
  REQUIRE(pair.bothOpen());
  CHECK(pair.server->stats().retransmits > 0);
  CHECK(pair.server->roundTrip() == 0);
  CHECK(pair.client->roundTrip() == 20);
}
