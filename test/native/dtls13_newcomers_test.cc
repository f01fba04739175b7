// DTLS 1.3 at endpoints: hellos that come again, and newcomers where a session is already.
#include <doctest/doctest.h>

#include "endpoints_echo.h"

using namespace mcbn;

TEST_CASE(
    "dtls13 endpoints: a hello whose key was refused is not looked up again, however often it "
    "comes "
    "(RFC 9147 section 4.5.2)") {
  for (const UnknownIdentity unknown : {UnknownIdentity::Conceal, UnknownIdentity::Alert}) {
    EndpointsOptions options;
    options.ask = true;
    options.unknown = unknown;
    Endpoints world(options);
    std::vector<Bytes> hellos, alerts;
    world.passing = [&](Role from, Bytes datagram) {
      if (from == Role::Client) hellos.push_back(datagram);
      if (from == Role::Server && datagram[0] == content_type::kAlert) alerts.push_back(datagram);
      return std::vector<Bytes>{std::move(datagram)};
    };
    // More than are remembered: those of others do not count as this one's.
    for (unsigned i = 0; i < 70; ++i) {
      const uint32_t client = world.dial({.identity = "Client" + std::to_string(i)});
      world.run([&] { return world.at(kServer).questions.size() == i + 1; });
      REQUIRE(world.at(kServer).questions.size() == i + 1);
      const auto& [session, question] = world.at(kServer).questions[i];
      world.server->answer(session, question.number, {}, std::nullopt, world.now);
      world.server->flush();
      world.run([&] { return !world.at(client).refused.empty(); });
      REQUIRE(world.at(client).refused.size() == 1);
    }
    CHECK(world.at(kServer).questions.size() == 70);
    CHECK(world.server->stats().handshakes_started == 70);
    CHECK(std::ranges::all_of(alerts, [&](const Bytes& alert) {
      return alert.size() == 15 && alert[14] == alerts[0][14];
    }));
    CHECK(world.server->stats().sessions == 0);
  }
}

TEST_CASE(
    "dtls13 endpoints: an open session's sixth epoch is not a newcomer's second (RFC 9147 section "
    "4.2.2)") {
  for (const unsigned updates : {3U, 4U, 7U}) {
    CAPTURE(updates);
    Endpoints world;
    const uint32_t old = openAndEcho(world);
    for (unsigned i = 0; i < updates; ++i) {
      world.client(old).updateKeys(ClientEndpoint::kSession, false, world.now);
      world.client(old).flush();
      world.run(0);
      CHECK(world.server->find(world.session())->session.stats().key_updates_received == i + 1);
    }
    // Another client comes from the same address, and its Finished is the last to arrive.
    const uint32_t newcomer = world.dial();
    world.swapAddresses(old, newcomer);
    std::vector<Bytes> held;
    world.passing = [&](Role from, Bytes datagram) {
      const bool finished =
          from == Role::Client && dtls13::isEncrypted(datagram[0]) && held.empty();
      if (finished) held.push_back(datagram);
      return finished ? std::vector<Bytes>{} : std::vector<Bytes>{std::move(datagram)};
    };
    world.run([&] { return !held.empty(); });
    REQUIRE(!held.empty());
    std::vector<Bytes> late;
    world.passing = [&](Role from, Bytes datagram) {
      if (from == Role::Client) late.push_back(std::move(datagram));
      return from == Role::Client ? std::vector<Bytes>{} : std::vector<Bytes>{std::move(datagram)};
    };
    const size_t before = world.at(kServer).messages.size();
    world.send(old, {"still here", "and here"});
    world.run(0);
    REQUIRE(late.size() == 2);
    late.push_back(held[0]);
    for (const Bytes& datagram : late) world.inject(newcomer, datagram);
    CHECK(world.at(kServer).messages.size() == before + 2);
    CHECK(world.at(kServer).opened.size() == 2);
    CHECK(world.at(kServer).ended.size() == 1);  // the one whose place was taken
  }
}

TEST_CASE("dtls13 endpoints: the last place is a newcomer's only after its proof") {
  EndpointsOptions options;
  options.limits = {.max_sessions = 1, .max_handshakes = 8, .evict_after = 1};
  Endpoints world(options);
  openAndEcho(world);
  world.now += 10;
  const uint32_t wrong = world.dial({.key = 0x43});
  world.run([&] { return !world.at(wrong).refused.empty(); });
  CHECK(world.at(kServer).ended.empty());
  const uint32_t right = world.dial();
  world.run([&] { return world.opened(right, 2); });
  CHECK(world.opened(right, 2));
  CHECK(world.server->stats().evictions == 1);
}
