// Which newcomer gets a place at a server's endpoint, and whose cookie a client follows, with DTLS 1.2.
#include <doctest/doctest.h>

#include "endpoints_echo.h"
#include "foreign_cookie.h"
#include "record/handshake_fragment.h"

using namespace mcbn;

namespace {

const Dialled kOlder{.dtls13 = false};

bool begins(const Bytes& datagram, uint8_t message) {
  return datagram.size() > kDtlsRecordHeaderBytes && datagram[0] == content_type::kHandshake &&
         datagram[kDtlsRecordHeaderBytes] == message;
}

// A server with four handshakes at a time, of which one host may have two, and clients that never go on with theirs.
struct Waiting {
  Waiting() : world(options()) {
    world.passing = [](Role from, Bytes datagram) {
      const bool goes_on =
          from == Role::Client && begins(datagram, handshake_type::kClientKeyExchange);
      return goes_on ? std::vector<Bytes>{} : std::vector<Bytes>{std::move(datagram)};
    };
  }
  static EndpointsOptions options() {
    EndpointsOptions options;
    options.limits.max_handshakes = 4;
    return options;
  }
  uint32_t dial() {
    const uint32_t client = world.dial(kOlder);
    world.run(0);
    return client;
  }
  const EndpointStats& stats() const { return world.server->stats(); }

  Endpoints world;
};

}  // namespace

TEST_CASE("newcomers: one has the place of the handshake that has waited for its client longest") {
  Waiting waiting;
  Endpoints& world = waiting.world;
  waiting.dial();
  world.now += 100;
  waiting.dial();
  CHECK(waiting.stats().handshakes_started == 2);
  // The others may be about to go on: they have waited less than half a second.
  const uint32_t newcomer = waiting.dial();
  CHECK(waiting.stats().dropped_limit == 1);
  CHECK(waiting.stats().handshakes_started == 2);
  // It says its hello again after a second, well before any of them has had its time.
  world.run([&] { return waiting.stats().handshakes_started == 3; }, 1'500);
  REQUIRE(waiting.stats().handshakes_started == 3);
  CHECK(waiting.stats().handshakes_displaced == 1);
  REQUIRE(world.at(Endpoints::kServer).refused.size() == 1);
  CHECK(world.at(Endpoints::kServer).refused[0]->message.find("waited for its client longest") !=
        std::string::npos);
  world.passing = [](Role, Bytes datagram) { return std::vector<Bytes>{std::move(datagram)}; };
  world.run([&] { return world.at(newcomer).opened.size() == 1; }, 2'000);
  CHECK(world.at(newcomer).opened.size() == 1);
}

TEST_CASE("newcomers: while a quarter of the places is taken, no handshake waits over 3 s") {
  Waiting waiting;
  const Milliseconds began = waiting.world.now;
  waiting.dial();
  waiting.world.run([&] { return waiting.stats().handshakes_displaced == 1; });
  CHECK(waiting.stats().handshakes_displaced == 1);
  CHECK(waiting.world.now == began + 3'000);
}

TEST_CASE(
    "newcomers: while a blocked event loop is told no more, no handshake begins at its server") {
  EndpointsOptions options;
  options.speaks13 = false;
  Endpoints world(options);
  world.blockLoop();
  const uint32_t client = world.dial(kOlder);
  world.run(3'500);
  CHECK(world.server->stats().handshakes_started == 0);
  // The hello with a cookie, and its repeats after 1 and 3 s.
  CHECK(world.server->stats().dropped_limit == 3);
  world.freeLoop();
  world.run([&] { return world.opened(client); });
  CHECK(world.opened(client));
}

TEST_CASE(
    "newcomers: no order of a stranger's cookies and the server's costs a client a repeat (RFC "
    "6347 section 4.2.1)") {
  // Those of the stranger by their message_seq, before and behind the server's first.
  const std::vector<uint16_t> orders[] = {{}, {0}, {1}, {0, 1}, {0, 1, 2, 3, 4}, {1, 2, 0, 1}};
  for (const auto& before : orders) {
    for (const auto& behind : orders) {
      CAPTURE(before.size());
      CAPTURE(behind.size());
      EndpointsOptions options;
      options.speaks13 = false;
      Endpoints world(options);
      bool answered = false;
      world.passing = [&](Role from, Bytes datagram) {
        if (from == Role::Client || std::exchange(answered, true))
          return std::vector<Bytes>{datagram};
        REQUIRE(begins(datagram, handshake_type::kHelloVerifyRequest));
        std::vector<Bytes> all;
        for (const uint16_t sequence : before) all.push_back(foreignVerifyRequest(sequence));
        all.push_back(datagram);
        for (const uint16_t sequence : behind) all.push_back(foreignVerifyRequest(sequence));
        return all;
      };
      const uint32_t client = world.dial(kOlder);
      // No time passes: nothing is repeated.
      world.run(0);
      REQUIRE(world.opened(client));
    }
  }
}
