// DTLS 1.3 as endpoints speak it: one server for both versions, or for one; who finds which session.
#include <doctest/doctest.h>

#include <array>

#include "endpoints_echo.h"
#include "wire.h"

using namespace mcbn;

namespace {

std::string codeOf(const std::optional<Failure>& failure) { return failure ? failure->code : ""; }
std::string alertOf(const std::optional<Failure>& failure) {
  return failure ? alertName(failure->alert) : "";
}

EndpointsOptions withIds(size_t server, size_t client) {
  EndpointsOptions options;
  options.server.connection_id = server;
  options.client.connection_id = client;
  return options;
}

// The handshake message of a datagram, in two of one record each. Both have its number: the next one is
// that of the client's next record.
std::vector<Bytes> halved(const Bytes& datagram) {
  constexpr size_t kHeaders = kDtlsRecordHeaderBytes + kDtlsHandshakeHeaderBytes;
  const uint8_t* const header = datagram.data() + kDtlsRecordHeaderBytes;
  const ByteView body = ByteView(datagram).subspan(kHeaders);
  const auto sequence = static_cast<uint16_t>(header[4] << 8 | header[5]);
  const size_t half = body.size() / 2;
  const uint64_t number = datagram[10];
  return {
      wire::record(content_type::kHandshake, 0, number,
                   wire::fragment(header[0], sequence, body, 0, half)),
      wire::record(content_type::kHandshake, 0, number,
                   wire::fragment(header[0], sequence, body, half, body.size() - half)),
  };
}

bool isHello(const Bytes& datagram) {
  return datagram[0] == content_type::kHandshake &&
         datagram[kDtlsRecordHeaderBytes] == handshake_type::kClientHello;
}

}  // namespace

TEST_CASE(
    "dtls13 endpoints: one server opens sessions of both versions, each as it was asked for") {
  Endpoints world;
  const uint32_t newer = openAndEcho(world);
  const uint32_t older = openAndEcho(world, {.dtls13 = false});
  CHECK(world.at(newer).opened[0].second.opened.protocol == Protocol::Dtls13);
  CHECK(world.at(older).opened[0].second.opened.protocol == Protocol::Dtls12);
  CHECK(world.at(kServer).opened[0].second.opened.protocol == Protocol::Dtls13);
  CHECK(world.at(kServer).opened[1].second.opened.protocol == Protocol::Dtls12);
  CHECK(world.server->stats().sessions == 2);
  for (const uint32_t client : {newer, older})
    world.client(client).closeAll(Endpoint::Goodbye::Yes);
  for (const uint32_t client : {newer, older}) world.client(client).flush();
  world.run(0);
  CHECK(world.at(kServer).ended.size() == 2);
  CHECK(world.server->stats().sessions == 0);
}

TEST_CASE("dtls13 endpoints: psk_ke, and keys of SHA-384") {
  EndpointsOptions options;
  options.server13.modes = options.client13.modes = dtls13::kPskKe;
  options.hash = PskHash::Sha384;
  Endpoints world(options);
  const uint32_t client = openAndEcho(world);
  CHECK(world.at(client).opened[0].second.opened.cipher == "TLS_AES_256_GCM_SHA384");
}

TEST_CASE(
    "dtls13 endpoints: a server of DTLS 1.3 alone refuses an older hello in words, and stores "
    "nothing") {
  EndpointsOptions options;
  options.speaks12 = false;
  Endpoints world(options);
  const uint32_t older = world.dial({.dtls13 = false});
  world.run([&] { return !world.at(older).refused.empty() || !world.at(older).ended.empty(); });
  const auto& told =
      world.at(older).refused.empty() ? world.at(older).ended : world.at(older).refused;
  REQUIRE(told.size() == 1);
  CHECK(alertOf(told[0]) == "protocol_version");
  CHECK(world.server->stats().handshakes_started == 0);
  CHECK(world.server->stats().dropped_refusals > 0);
  openAndEcho(world);
}

TEST_CASE("dtls13 endpoints: a server of DTLS 1.2 alone is named by a client that wants 1.3") {
  EndpointsOptions options;
  options.speaks13 = false;
  Endpoints world(options);
  const uint32_t newer = world.dial();
  world.run([&] { return !world.at(newer).refused.empty(); });
  REQUIRE(world.at(newer).refused.size() == 1);
  CHECK(alertOf(world.at(newer).refused[0]) == "protocol_version");
  CHECK(world.server->stats().handshakes_started == 0);
  openAndEcho(world, {.dtls13 = false});
}

TEST_CASE("dtls13 endpoints: hellos in fragments, of either version (RFC 9147 section 5.5)") {
  for (const bool dtls13 : {true, false}) {
    CAPTURE(dtls13);
    Endpoints world;
    unsigned hellos = 0;
    world.passing = [&](Role, Bytes datagram) {
      if (!isHello(datagram)) return std::vector<Bytes>{std::move(datagram)};
      hellos += 1;
      return halved(datagram);
    };
    openAndEcho(world, {.dtls13 = dtls13});
    CHECK(hellos == 2);
    CHECK(world.server->stats().hello_verify_requests == 1);
    CHECK(world.server->stats().handshakes_started == 1);
  }
}

TEST_CASE("dtls13 endpoints: nothing is kept for strangers' hellos (RFC 9147 section 5.1)") {
  Endpoints world;
  Bytes first;
  world.passing = [&](Role from, Bytes datagram) {
    if (from == Role::Client && first.empty()) first = datagram;
    return std::vector<Bytes>();
  };
  world.dial();
  world.run(0);
  REQUIRE(isHello(first));
  constexpr unsigned kHellos = 500;
  for (unsigned i = 0; i < kHellos; ++i) {
    Bytes hello = first;
    hello[kDtlsRecordHeaderBytes + kDtlsHandshakeHeaderBytes + 2] = static_cast<uint8_t>(i);
    world.strange(hello);
    world.strange(halved(hello)[0]);
  }
  CHECK(world.server->stats().hello_verify_requests == kHellos);
  CHECK(world.server->stats().handshakes_started == 0);
  CHECK(world.server->stats().sessions == 0);
  CHECK(world.server->stats().bytes_sent <= 3 * world.server->stats().bytes_received);
  world.passing = [](Role, Bytes datagram) { return std::vector<Bytes>{std::move(datagram)}; };
  openAndEcho(world);
}

TEST_CASE("dtls13 endpoints: whichever datagram is lost, both open") {
  for (unsigned lost = 0; lost < 8; ++lost) {
    CAPTURE(lost);
    Endpoints world(withIds(8, 0));
    unsigned count = 0;
    world.passing = [&](Role, Bytes datagram) {
      return count++ == lost ? std::vector<Bytes>() : std::vector<Bytes>{std::move(datagram)};
    };
    const Milliseconds began = world.now;
    const uint32_t client = world.dial();
    world.run([&] { return world.opened(client); });
    REQUIRE(world.opened(client));
    CHECK(world.now - began <= 3'000);
    world.send(client, {"still", "there"});
    world.run(1'000);
    CHECK(world.at(kServer).messages.size() >= 1);
  }
}

TEST_CASE("dtls13 endpoints: another key and an unknown identity look alike to the client") {
  EndpointsOptions options;
  options.client13.modes = dtls13::kPskDheKe;
  std::array<Bytes, 2> answers;
  const std::array<Dialled, 2> wrong = {Dialled{.key = 0x43}, Dialled{.identity = "Client2"}};
  const std::array<std::string, 2> codes = {"MCBN_PSK_MISMATCH", "MCBN_PSK_IDENTITY_UNKNOWN"};
  for (size_t i = 0; i < wrong.size(); ++i) {
    Endpoints world(options);
    world.passing = [&](Role from, Bytes datagram) {
      if (from == Role::Server)
        answers[i].insert(answers[i].end(), datagram.begin(), datagram.end());
      return std::vector<Bytes>{std::move(datagram)};
    };
    const uint32_t client = world.dial(wrong[i]);
    world.run([&] { return !world.at(client).refused.empty(); });
    REQUIRE(world.at(client).refused.size() == 1);
    CHECK(codeOf(world.at(client).refused[0]) == "MCBN_PSK_MISMATCH");
    REQUIRE(world.at(kServer).refused.size() == 1);
    CHECK(codeOf(world.at(kServer).refused[0]) == codes[i]);
    // The client sends its hello once more before it believes an alert in the clear: the same answer.
    CHECK(world.server->stats().handshakes_started == 1);
    CHECK(world.server->stats().sessions == 0);
  }
  CHECK(answers[0].size() == answers[1].size());
}

TEST_CASE("dtls13 endpoints: a key that is asked for, by version, and answered later") {
  EndpointsOptions options;
  options.ask = true;
  Endpoints world(options);
  for (const bool dtls13 : {true, false}) {
    CAPTURE(dtls13);
    const size_t before = world.at(kServer).questions.size();
    const uint32_t client = world.dial({.dtls13 = dtls13});
    world.run([&] { return world.at(kServer).questions.size() > before; });
    REQUIRE(world.at(kServer).questions.size() == before + 1);
    const auto& [session, question] = world.at(kServer).questions[before];
    CHECK(question.protocol == (dtls13 ? Protocol::Dtls13 : Protocol::Dtls12));
    CHECK(question.identity == "Client1");
    world.now += 2'000;
    world.server->answer(session, question.number, answerWith(0x42), std::nullopt, world.now);
    world.run([&] { return world.opened(client, before + 1); });
    CHECK(world.opened(client, before + 1));
  }
}

TEST_CASE("dtls13 endpoints: a lookup that fails ends one handshake, with its own words") {
  EndpointsOptions options;
  options.ask = true;
  Endpoints world(options);
  const uint32_t client = world.dial();
  world.run([&] { return !world.at(kServer).questions.empty(); });
  REQUIRE(world.at(kServer).questions.size() == 1);
  const auto& [session, question] = world.at(kServer).questions[0];
  world.server->answer(session, question.number, {}, Failure{.code = "MCBN_LOOKUP_FAILED"},
                       world.now);
  world.run(0);
  REQUIRE(world.at(kServer).refused.size() == 1);
  CHECK(codeOf(world.at(kServer).refused[0]) == "MCBN_LOOKUP_FAILED");
  CHECK(world.server->stats().sessions == 0);
  world.run([&] { return !world.at(client).refused.empty(); });
  CHECK(world.at(client).refused.size() == 1);
}

TEST_CASE(
    "dtls13 endpoints: a session with an ID is found from wherever it comes (RFC 9147 section 9)") {
  for (const bool dtls13 : {true, false}) {
    CAPTURE(dtls13);
    Endpoints world(withIds(8, 0));
    const uint32_t client = openAndEcho(world, {.dtls13 = dtls13});
    CHECK(world.at(kServer).opened[0].second.own_connection_id.size() == 8);
    CHECK(world.at(client).opened[0].second.peer_connection_id ==
          world.at(kServer).opened[0].second.own_connection_id);
    world.move(client);
    world.send(client, {"from", "else", "where"});
    world.run(1'000);
    CHECK(world.at(kServer).messages.size() == 5);
    CHECK(world.at(kServer).moved.size() == 1);
    CHECK(world.server->stats().address_changes == 1);
    world.send(kServer, world.session(), {"I see"});
    world.run(1'000);
    CHECK(world.at(client).messages.size() == 2);
  }
}

TEST_CASE(
    "dtls13 endpoints: an address that does not answer the check is not followed (RFC 9853 section "
    "5.1)") {
  for (const bool dtls13 : {true, false}) {
    CAPTURE(dtls13);
    Endpoints world(withIds(8, 4));
    const uint32_t client = openAndEcho(world, {.dtls13 = dtls13});
    CHECK(world.at(client).opened[0].second.return_routability);
    CHECK(world.at(kServer).opened[0].second.return_routability);
    // Somebody sends the client's own datagram on, and hears the challenges.
    std::vector<Bytes> held;
    world.passing = [&](Role from, Bytes datagram) {
      if (from == Role::Client && held.empty()) {
        held.push_back(std::move(datagram));
        return std::vector<Bytes>{};
      }
      return std::vector<Bytes>{std::move(datagram)};
    };
    world.send(client, {"sent on by somebody"});
    world.run(0);
    REQUIRE(held.size() == 1);
    world.strange(held[0]);
    CHECK(world.at(kServer).messages.size() == 3);
    world.run([&] { return world.server->stats().address_checks_failed == 1; });
    CHECK(world.server->stats().address_checks_failed == 1);
    CHECK(world.server->stats().address_changes == 0);
    CHECK(world.at(kServer).moved.empty());
    const size_t before = world.at(client).messages.size();
    world.send(kServer, world.session(), {"to the client"});
    world.run(0);
    CHECK(world.at(client).messages.size() == before + 1);
  }
}

TEST_CASE("dtls13 endpoints: a session without an ID is lost with its address") {
  Endpoints world;
  const uint32_t client = openAndEcho(world);
  world.move(client);
  world.send(client, {"who", "am I"});
  world.run(0);
  CHECK(world.at(kServer).messages.size() == 2);
  CHECK(world.server->stats().dropped_unknown_peer == 2);
}

TEST_CASE("dtls13 endpoints: IDs too long for a message's room go another way") {
  Endpoints world(withIds(32, 32));
  const uint32_t client = openAndEcho(world);
  world.send(client, std::vector<std::string>(20, "many"));
  world.send(kServer, world.session(), std::vector<std::string>(20, "many"));
  world.run(0);
  CHECK(world.at(kServer).messages.size() == 22);
  CHECK(world.at(client).messages.size() == 21);
}

TEST_CASE("dtls13 endpoints: trains in either direction") {
  Endpoints world(withIds(4, 4));
  const uint32_t client = openAndEcho(world);
  const std::vector<std::string> train(Endpoint::kTrain, "one of many");
  world.send(client, train);
  world.send(kServer, world.session(), train);
  world.run(0);
  CHECK(world.at(kServer).messages.size() == Endpoint::kTrain + 2);
  CHECK(world.at(client).messages.size() == Endpoint::kTrain + 1);
}

TEST_CASE("dtls13 endpoints: a server takes a session of DTLS 1.3 back that it gave away") {
  Endpoints world;
  const uint32_t client = openAndEcho(world);
  SessionSeal seal(Bytes(SessionSeal::kKeyBytes, 1));
  Bytes sealed;
  // Without a session store there is no row of it.
  CHECK_FALSE(world.server->takeRow(world.session(), world.now).has_value());
  CHECK(world.server->portableSessions(10).size() == 1);
  REQUIRE(world.server->exportSession(world.session(), seal, world.now, sealed));
  CHECK(world.server->portableSessions(10).empty());
  world.send(client, {"to nobody"});
  world.run(0);
  CHECK(world.at(kServer).messages.size() == 2);
  const auto validity = ServerEndpoint::KeyValidity::ByTable;
  REQUIRE(world.server->importSession(seal, sealed, validity, world.now, nullptr).session != 0);
  world.send(client, {"still here"});
  world.run(0);
  CHECK(world.at(kServer).messages.size() == 3);
  const auto twice = world.server->importSession(seal, sealed, validity, world.now, nullptr);
  CHECK(twice.fault == ImportFault::Elsewhere);  // its place is taken
}

TEST_CASE("dtls13 endpoints: an identity that is revoked loses its sessions") {
  Endpoints world;
  const uint32_t client = openAndEcho(world);
  world.table->revoke("Client1");
  CHECK(world.server->endSessionsOf("Client1", {.code = "MCBN_CONNECTION_LOST"}) == 1);
  world.server->flush();
  world.run(0);
  CHECK(world.at(client).ended.size() == 1);
  const uint32_t again = world.dial();
  world.run([&] { return !world.at(again).refused.empty(); });
  CHECK(world.at(again).refused.size() == 1);
}
