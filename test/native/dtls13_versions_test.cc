// A client that speaks DTLS 1.3 and 1.2 (RFC 7507, RFC 8446 section 4.1.3 and appendix D), among strangers and
// relays that would have it speak the older one.
#include <doctest/doctest.h>

#include "both_versions.h"
#include "record/downgrade.h"

using namespace mcbn;

namespace {

constexpr size_t kMessageSequenceAt = kDtlsRecordHeaderBytes + 4;

// What the client is told in the end; the server has opened nothing.
Failure failureOf(Endpoints& world, uint32_t client) {
  world.run([&] { return !world.at(client).refused.empty(); });
  REQUIRE(world.at(client).refused.size() == 1);
  CHECK(world.at(client).opened.empty());
  CHECK(world.at(kServer).opened.empty());
  CHECK(world.client(client).stats().handshakes_failed == 1);
  CHECK(world.client(client).deadline() == kNever);
  REQUIRE(world.at(client).refused[0]);
  return *world.at(client).refused[0];
}

using Forgery = std::function<Bytes(uint64_t)>;

// A stranger answers before the server does, `times` times, with what `forged` makes of the number of the
// client's last hello.
Passing answeredBefore(unsigned times, Forgery forged) {
  return
      [times, forged = std::move(forged), number = uint64_t{0}](Role from, Bytes datagram) mutable {
        if (from == Role::Client && isHello(datagram)) number = numberIn(datagram);
        if (from == Role::Client || times == 0) return only(std::move(datagram));
        times -= 1;
        return std::vector<Bytes>{forged(number), std::move(datagram)};
      };
}

Forgery alertOf(uint8_t description) {
  return [description](uint64_t number) {
    return plaintextAlert(kDtls12, number, alert::kFatal, description);
  };
}

// A hello in two fragments, of which the first reaches through the cookie and not as far as the suites. `junk`:
// behind the first one and in front of the second is a record that is no handshake's, so that no datagram looks
// like a part of a hello.
std::vector<Bytes> cutBeforeSuites(const Bytes& datagram, bool junk) {
  constexpr size_t kHeaders = kDtlsRecordHeaderBytes + kDtlsHandshakeHeaderBytes;
  constexpr size_t kCookieAt = 2 + 32 + 1;  // no session ID
  const ByteView body = ByteView(datagram).subspan(kHeaders);
  const auto sequence =
      static_cast<uint16_t>(datagram[kMessageSequenceAt] << 8 | datagram[kMessageSequenceAt + 1]);
  const size_t cut = kCookieAt + 1 + body[kCookieAt];
  // Under other numbers than those of the client's next records.
  const auto piece = [&](uint64_t number, size_t at, size_t size) {
    return wire::record(content_type::kHandshake, 0, number,
                        wire::fragment(handshake_type::kClientHello, sequence, body, at, size));
  };
  const Bytes stray =
      junk ? plaintextAlert(kDtls12, 2, alert::kWarning, alert::kNoRenegotiation) : Bytes();
  return {wire::joined({piece(1, 0, cut), stray}),
          wire::joined({stray, piece(3, cut, body.size() - cut)})};
}

}  // namespace

TEST_CASE("dtls versions: a client of both opens in the newest that the server has") {
  struct Versions {
    bool older, newer;
  };
  for (const Versions versions : {Versions{true, true}, {true, false}, {false, true}}) {
    CAPTURE(versions.older);
    EndpointsOptions options = serving(versions.older, versions.newer);
    options.server.connection_id = 8;
    options.client.connection_id = 4;
    Endpoints world(options);
    const uint32_t client = openAndEcho(world, kBoth);
    CHECK(protocolOf(world, client) == (versions.newer ? Protocol::Dtls13 : Protocol::Dtls12));
    CHECK(world.at(client).opened[0].second.own_connection_id.size() == 4);
    CHECK(world.server->stats().handshakes_started == 1);
    CHECK(world.server->stats().dropped_refusals == 0);
    CHECK(world.client(client).stats().handshakes_completed == 1);
    CHECK(world.client(client).stats().retransmits == 0);
  }
}

TEST_CASE(
    "dtls versions: strangers' answers of DTLS 1.2 keep nobody from DTLS 1.3 (RFC 7507 section "
    "3)") {
  const Bytes downgraded = wire::joined({Bytes(24, 3), wire::text("DOWNGRD"), {1}});
  const std::vector<Forgery> forgeries = {
      [](uint64_t number) { return verifyRequest(number); },
      alertOf(alert::kProtocolVersion),
      alertOf(alert::kHandshakeFailure),
      alertOf(alert::kInsufficientSecurity),
      alertOf(alert::kInappropriateFallback),
      alertOf(alert::kDecryptError),
      [](uint64_t) { return olderHello(Bytes(32, 3)); },
      [&](uint64_t) { return olderHello(downgraded); },
      [](uint64_t) {
        return wire::record(content_type::kHandshake, 0, 1,
                            wire::message(handshake_type::kServerHelloDone, 2, {}));
      },
      [](uint64_t) { return wire::record(content_type::kApplicationData, 1, 1, Bytes(64, 9)); },
  };
  for (size_t i = 0; i < forgeries.size(); ++i) {
    for (const unsigned times : {1u, 1'000u}) {
      CAPTURE(i);
      CAPTURE(times);
      Endpoints world;
      world.passing = answeredBefore(times, forgeries[i]);
      const uint32_t client = openAndEcho(world, kBoth);
      CHECK(protocolOf(world, client) == Protocol::Dtls13);
      CHECK(world.server->stats().handshakes_started == 1);
      CHECK(world.at(client).refused.empty());
    }
  }
}

TEST_CASE("dtls versions: a stranger's alert keeps nobody from a server of DTLS 1.2 alone") {
  for (const uint8_t description :
       {alert::kInappropriateFallback, alert::kProtocolVersion, alert::kHandshakeFailure,
        alert::kDecryptError, alert::kUnknownPskIdentity}) {
    CAPTURE(description);
    Endpoints world(serving(true, false));
    world.passing = answeredBefore(1, alertOf(description));
    const uint32_t client = openAndEcho(world, kBoth);
    CHECK(protocolOf(world, client) == Protocol::Dtls12);
  }
}

TEST_CASE("dtls versions: a relay that lets only DTLS 1.2 pass to a server of both gets none") {
  Endpoints world;
  unsigned refused = 0;
  world.passing = [&](Role from, Bytes datagram) {
    if (from == Role::Client && !isOlder(datagram)) return std::vector<Bytes>();
    if (from == Role::Server) {
      CHECK(datagram == plaintextAlert(kDtls12, numberIn(datagram), alert::kFatal,
                                       alert::kInappropriateFallback));
      refused += 1;
    }
    return only(std::move(datagram));
  };
  const uint32_t client = world.dial(kBoth);
  const Failure failure = failureOf(world, client);
  CHECK(std::string(failure.code) == "MCBN_HANDSHAKE_FAILED");
  CHECK(failure.alert == alert::kInappropriateFallback);
  CHECK(refused > 0);
  CHECK(world.server->stats().handshakes_started == 0);
}

TEST_CASE("dtls versions: TLS_FALLBACK_SCSV cannot be taken out: the Finished covers it") {
  Endpoints world;
  world.passing = [&](Role from, Bytes datagram) {
    if (from == Role::Server) return only(std::move(datagram));
    if (!isOlder(datagram)) return std::vector<Bytes>();
    return only(isHello(datagram) ? withoutScsv(std::move(datagram)) : std::move(datagram));
  };
  const uint32_t client = world.dial(kBoth);
  failureOf(world, client);
  CHECK(world.server->stats().handshakes_started > 0);
  CHECK(world.server->stats().handshakes_completed == 0);
}

// What is not under the Finished: message_seq, by HelloVerifyRequests of the relay's, fragments, records.
TEST_CASE("dtls versions: nor can it be hidden by how the hello is cut and numbered") {
  for (const unsigned requests : {0u, 1u, 2u, 3u}) {
    for (const bool cut : {false, true}) {
      for (const bool junk : {false, true}) {
        CAPTURE(requests);
        CAPTURE(cut);
        CAPTURE(junk);
        Endpoints world;
        unsigned forged = 0;
        uint16_t asked = 0;
        world.passing = [&](Role from, Bytes datagram) {
          if (from == Role::Client) {
            if (!isOlder(datagram)) return std::vector<Bytes>();
            return isHello(datagram) && cut ? cutBeforeSuites(datagram, junk)
                                            : only(std::move(datagram));
          }
          // Its own requests in place of refusals, and the server's with the number that comes next.
          if (datagram[0] == content_type::kAlert) {
            if (forged == requests) return std::vector<Bytes>();
            forged += 1;
            return only(verifyRequest(numberIn(datagram), asked++));
          }
          const bool request =
              datagram[0] == content_type::kHandshake &&
              datagram[kDtlsRecordHeaderBytes] == handshake_type::kHelloVerifyRequest;
          if (request) putBigEndian(datagram.data() + kMessageSequenceAt, asked++, 2);
          return only(std::move(datagram));
        };
        const uint32_t client = world.dial(kBoth);
        failureOf(world, client);
        CHECK(world.server->stats().handshakes_completed == 0);
      }
    }
  }
}

TEST_CASE("dtls versions: a server that marks its random knows DTLS 1.3 (RFC 8446 section 4.1.3)") {
  Endpoints world(serving(true, false));
  world.passing = [](Role from, Bytes datagram) {
    constexpr size_t kMarkAt = kDtlsRecordHeaderBytes + kDtlsHandshakeHeaderBytes + 2 + 24;
    if (from == Role::Server && datagram[0] == content_type::kHandshake &&
        datagram[kDtlsRecordHeaderBytes] == handshake_type::kServerHello) {
      std::ranges::copy(wire::joined({wire::text("DOWNGRD"), {1}}), datagram.begin() + kMarkAt);
    }
    return only(std::move(datagram));
  };
  const uint32_t client = world.dial(kBoth);
  const Failure failure = failureOf(world, client);
  CHECK(std::string(failure.code) == "MCBN_PROTOCOL_ERROR");
  CHECK(failure.alert == alert::kIllegalParameter);
}

TEST_CASE("dtls versions: a server that says nothing to DTLS 1.3 is asked in 1.2 after 3 s") {
  Endpoints world(serving(true, false));
  world.passing = [](Role from, Bytes datagram) {
    const bool unknown = from == Role::Client && !isOlder(datagram) && isHello(datagram);
    return unknown ? std::vector<Bytes>() : only(std::move(datagram));
  };
  const Milliseconds begun = world.now;
  const uint32_t client = openAndEcho(world, kBoth);
  CHECK(protocolOf(world, client) == Protocol::Dtls12);
  CHECK(world.now - begun == 3'000);
}

TEST_CASE(
    "dtls versions: whichever two datagrams are lost, among answers of strangers, both open") {
  constexpr unsigned kDatagrams = 14;
  for (unsigned pair = 0; pair < 2 * kDatagrams * kDatagrams; ++pair) {
    const bool newer = pair % 2 == 0;
    const unsigned lost = pair / 2 % kDatagrams, other = pair / 2 / kDatagrams;
    if (other < lost) continue;
    CAPTURE(newer);
    CAPTURE(lost);
    CAPTURE(other);
    Endpoints world(serving(true, newer));
    unsigned sent = 0;
    world.passing = [&](Role from, Bytes datagram) {
      const unsigned number = sent++;
      // OpenSSL repeats by the wall clock. Here, where time is a number, its Finished goes out again as it was,
      // which a server that is open takes for a replay: so that one's last flight gets through.
      const bool last = from == Role::Server && datagram[0] == content_type::kChangeCipherSpec;
      if (!last && (number == lost || number == other)) return std::vector<Bytes>();
      // With a stranger's cookie behind the first thing that the server says.
      if (from == Role::Server && number < 3) {
        return std::vector<Bytes>{datagram, verifyRequest(numberIn(datagram))};
      }
      return only(std::move(datagram));
    };
    const uint32_t client = world.dial(kBoth);
    world.run([&] { return world.opened(client); });
    REQUIRE(world.opened(client));
    CHECK(protocolOf(world, client) == (newer ? Protocol::Dtls13 : Protocol::Dtls12));
    world.passing = [](Role, Bytes datagram) { return only(std::move(datagram)); };
    world.send(client, {"one"});
    world.run([&] { return !world.at(kServer).messages.empty(); });
    CHECK(world.at(kServer).messages == std::vector<std::string>{"one"});
  }
}

TEST_CASE("dtls versions: nor does a stranger's HelloRetryRequest keep a client from DTLS 1.2") {
  Endpoints world(serving(true, false));
  Bytes body(dtls13::kMostRetryBytes);
  body.resize(dtls13::writeHelloRetryRequest(0x1301, 0, Bytes(20, 7), body.data()));
  world.passing = [&](Role from, Bytes datagram) {
    const bool request = from == Role::Server && datagram[0] == content_type::kHandshake &&
                         datagram[kDtlsRecordHeaderBytes] == handshake_type::kHelloVerifyRequest;
    if (!request || isOlder(datagram)) return only(std::move(datagram));
    return only(wire::record(content_type::kHandshake, 0, numberIn(datagram),
                             wire::message(handshake_type::kServerHello, 0, body)));
  };
  CHECK(protocolOf(world, openAndEcho(world, kBoth)) == Protocol::Dtls12);
}

TEST_CASE("dtls versions: nobody answers: one error, when handshakeTimeout is over") {
  Endpoints world;
  std::vector<bool> hellos;
  world.passing = [&](Role, Bytes datagram) {
    hellos.push_back(isOlder(datagram));
    return std::vector<Bytes>();
  };
  const Milliseconds begun = world.now;
  const uint32_t client = world.dial(kBoth);
  const Failure failure = failureOf(world, client);
  CHECK(std::string(failure.code) == "MCBN_HANDSHAKE_TIMEOUT");
  CHECK(failure.message.starts_with("nobody answered, neither"));
  CHECK(world.now - begun == 10'000);
  CHECK(std::ranges::count(hellos, false) == 4);  // after 0, 1, 3 and 7 s
  CHECK(std::ranges::count(hellos, true) == 3);   // after 3, 4 and 6 s
}

TEST_CASE("dtls versions: another key is named, whichever version the server speaks") {
  for (const bool newer : {true, false}) {
    CAPTURE(newer);
    Endpoints world(serving(true, newer));
    const uint32_t client = world.dial({.both = true, .key = 0x43});
    const Failure failure = failureOf(world, client);
    CHECK(std::string(failure.code) == "MCBN_PSK_MISMATCH");
    CHECK(failure.message.find("Client1") != std::string::npos);
  }
}

TEST_CASE("dtls versions: a key is asked for by each version that is tried, once") {
  for (const bool newer : {true, false}) {
    CAPTURE(newer);
    Endpoints world(serving(true, newer));
    const uint32_t client = world.dial({.both = true, .asks = true});
    const auto& asked = world.at(client).questions;
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].second.protocol == Protocol::Dtls13);
    CHECK(world.client(client).stats().datagrams_sent == 0);
    const auto answer = [&](size_t count) {
      REQUIRE(asked.size() == count);
      world.client(client).answer(ClientEndpoint::kSession, asked[count - 1].second.number,
                                  answerWith(0x42, "Client1"), std::nullopt, world.now);
      world.client(client).flush();
      world.run([&] { return world.opened(client) || asked.size() > count; });
    };
    answer(1);
    if (!newer) answer(2);
    CHECK(world.opened(client));
    REQUIRE(asked.size() == (newer ? 1 : 2));
    if (!newer) CHECK(asked[1].second.protocol == Protocol::Dtls12);
  }
}

TEST_CASE(
    "dtls versions: a client that is closed while it chooses tells nobody, and leaves nothing") {
  for (const bool session_alone : {false, true}) {
    CAPTURE(session_alone);
    Endpoints world;
    world.passing = [](Role from, Bytes datagram) {
      return from == Role::Server ? only(verifyRequest(0)) : only(std::move(datagram));
    };
    const uint32_t client = world.dial(kBoth);
    world.run(1'000);
    if (session_alone) {
      world.client(client).closeSession(ClientEndpoint::kSession);
    } else {
      world.client(client).closeAll(Endpoint::Goodbye::Yes);
    }
    world.client(client).flush();
    world.passing = [](Role, Bytes datagram) { return only(std::move(datagram)); };
    world.run(10'000);
    CHECK(world.at(client).refused.empty());
    CHECK(world.at(client).opened.empty());
    CHECK(world.at(kServer).opened.empty());
    CHECK(world.client(client).deadline() == kNever);
    CHECK(world.client(client).find(ClientEndpoint::kSession) == nullptr);
    CHECK(world.client(client).stats().sessions == 0);
  }
}
