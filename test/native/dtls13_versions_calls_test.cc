// What its application does to a client of both versions of DTLS while two handshakes run, as one of them opens, and
// with what is then still on its way from the other (RFC 7507).
#include <doctest/doctest.h>

#include "both_versions.h"

using namespace mcbn;

namespace {

constexpr uint32_t kSession = ClientEndpoint::kSession;
const Bytes kSealingKey(SessionSeal::kKeyBytes, 9);

std::vector<Bytes> honest(Role, Bytes datagram) { return only(std::move(datagram)); }

// Both handshakes run, and nobody has answered either.
uint32_t dialUnanswered(Endpoints& world, const Dialled& how = kBoth) {
  world.passing = [](Role, Bytes) { return std::vector<Bytes>(); };
  const uint32_t client = world.dial(how);
  world.run(3'500);
  return client;
}

// Of the client's hellos those of one version arrive: that handshake opens while the other one waits.
Passing hearing(bool newer) {
  return [newer](Role from, Bytes datagram) {
    const bool lost = from == Role::Client && isHello(datagram) && isOlder(datagram) == newer;
    return lost ? std::vector<Bytes>() : only(std::move(datagram));
  };
}

// Until the client is open, in the version that it hears.
uint32_t openBeside(Endpoints& world, bool newer) {
  const uint32_t client = dialUnanswered(world);
  world.passing = hearing(newer);
  world.run([&] { return world.opened(client); });
  CHECK(protocolOf(world, client) == (newer ? Protocol::Dtls13 : Protocol::Dtls12));
  world.passing = honest;
  return client;
}

void checkEcho(Endpoints& world, uint32_t client) {
  world.passing = honest;
  const size_t there = world.at(kServer).messages.size(), here = world.at(client).messages.size();
  world.send(client, {"one"});
  world.run(0);
  REQUIRE(world.at(kServer).messages.size() == there + 1);
  world.send(kServer, world.session(), {"two"});
  world.run(0);
  CHECK(world.at(client).messages.size() == here + 1);
}

void answerLate(Endpoints& world, uint32_t client, uint32_t number, std::optional<uint8_t> key) {
  std::optional<Failure> failure;
  if (!key) failure = Failure{.code = "MCBN_LOOKUP_FAILED", .message = "none"};
  world.client(client).answer(kSession, number, key ? answerWith(*key, "Client1") : PskAnswer(),
                              failure, world.now);
  world.client(client).flush();
  world.run(0);
}

// What an application can ask for at any time, and what comes of it too late or too early.
struct Call {
  const char* name;
  std::function<void(ClientEndpoint&, Milliseconds)> make;
};
const Call kCalls[] = {
    {"updateKeys", [](auto& client, auto now) { client.updateKeys(kSession, true, now); }},
    {"exportSession",
     [](auto& client, auto now) {
       SessionSeal seal(kSealingKey);
       Bytes sealed;
       CHECK_FALSE(client.exportSession(kSession, seal, now, sealed));
       CHECK(sealed.empty());
     }},
    {"takeRow", [](auto& client, auto now) { CHECK_FALSE(client.takeRow(kSession, now)); }},
    {"rowsWritten", [](auto& client, auto now) { client.rowsWritten({{kSession}}, now); }},
    {"exportKeyingMaterial",
     [](auto& client, auto) {
       std::array<uint8_t, 32> out;
       Association* const association = client.find(kSession);
       REQUIRE(association);
       CHECK_FALSE(association->session.exportKeyingMaterial("EXPORTER-x", std::nullopt, out));
     }},
    {"a key that nobody asked for",
     [](auto& client, auto now) {
       client.answer(kSession, 1, answerWith(0x55, "Client1"), {}, now);
     }},
    {"a failed lookup of nobody's",
     [](auto& client, auto now) {
       client.answer(kSession, 1, PskAnswer(), Failure{.code = "MCBN_LOOKUP_FAILED"}, now);
     }},
    {"expire", [](auto& client, auto now) { client.expire(now); }},
    {"receive", [](auto& client, auto now) { client.receive(now); }},
    {"closeSession of another", [](auto& client, auto) { client.closeSession(kSession + 1); }},
};

enum class How { Session, All, AllSilently };

void close(ClientEndpoint& client, How how) {
  if (how == How::Session) return client.closeSession(kSession);
  client.closeAll(how == How::All ? Endpoint::Goodbye::Yes : Endpoint::Goodbye::No);
}

// Whatever comes then, and however long: it tells nothing, and nothing is left.
void checkGone(Endpoints& world, uint32_t client) {
  const size_t opened = world.at(client).opened.size(), asked = world.at(client).questions.size();
  world.client(client).flush();
  world.passing = honest;
  world.run(20'000);
  for (const std::optional<uint8_t> key : {std::optional<uint8_t>(0x42), {}}) {
    answerLate(world, client, 1, key);
  }
  world.run(20'000);
  CHECK(world.at(client).opened.size() == opened);
  CHECK(world.at(client).questions.size() == asked);
  CHECK(world.at(client).refused.empty());
  CHECK(world.at(client).ended.empty());
  CHECK(world.client(client).deadline() == kNever);
  CHECK(world.client(client).find(kSession) == nullptr);
  CHECK(world.client(client).stats().sessions == 0);
}

}  // namespace

TEST_CASE("dtls versions: while both handshakes run nothing that its application asks for does") {
  for (const bool newer : {false, true}) {
    CAPTURE(newer);
    Endpoints world(serving(true, newer));
    const uint32_t number = dialUnanswered(world);
    ClientEndpoint& client = world.client(number);
    const Milliseconds deadline = client.deadline();
    for (const Call& each : kCalls) {
      CAPTURE(each.name);
      const uint64_t sent = client.stats().datagrams_sent;
      each.make(client, world.now);
      world.send(number, {"too early"});
      world.run(0);
      CHECK(client.stats().datagrams_sent == sent);
      CHECK(client.stats().messages_sent == 0);
      CHECK(client.deadline() == deadline);
    }
    world.passing = hearing(newer);
    world.run([&] { return world.opened(number); });
    CHECK(protocolOf(world, number) == (newer ? Protocol::Dtls13 : Protocol::Dtls12));
    checkEcho(world, number);
    CHECK(world.at(kServer).messages == std::vector<std::string>{"one"});
    CHECK(world.at(number).questions.empty());
    CHECK(world.at(number).refused.empty());
    CHECK(client.stats().handshakes_completed == 1);
    CHECK(client.stats().handshakes_failed == 0);
    CHECK(client.stats().sessions == 1);
  }
}

TEST_CASE("dtls versions: a client that is closed at any moment is gone, both handshakes with it") {
  for (const How how : {How::Session, How::All, How::AllSilently}) {
    CAPTURE(static_cast<int>(how));
    {
      Endpoints world;
      const uint32_t client = world.dial({.both = true, .asks = true});
      REQUIRE(world.at(client).questions.size() == 1);
      close(world.client(client), how);
      checkGone(world, client);
    }
    for (const bool newer : {false, true}) {
      Endpoints world(serving(true, newer));
      const uint32_t client = dialUnanswered(world);
      close(world.client(client), how);
      checkGone(world, client);
      CHECK(world.at(kServer).opened.empty());
    }
    for (const bool asks : {false, true}) {
      CAPTURE(asks);
      Endpoints world(serving(true, false));
      const uint32_t client = world.dial({.both = true, .asks = asks});
      if (asks) answerLate(world, client, 1, uint8_t{0x42});
      // Up to the older one's question, or its Finished.
      world.passing = [&](Role from, Bytes datagram) {
        const bool last = from == Role::Server && datagram[0] == content_type::kChangeCipherSpec;
        return last ? std::vector<Bytes>() : only(std::move(datagram));
      };
      world.run(500);
      CHECK(world.at(client).questions.size() == (asks ? 2 : 0));
      CHECK(world.at(client).opened.empty());
      close(world.client(client), how);
      checkGone(world, client);
    }
    for (const bool newer : {false, true}) {
      CAPTURE(newer);
      Endpoints world(serving(true, newer));
      const uint32_t client = openBeside(world, newer);
      close(world.client(client), how);
      checkGone(world, client);
      CHECK(world.at(kServer).ended.size() == (how == How::AllSilently ? 0 : 1));
    }
  }
}

TEST_CASE(
    "dtls versions: once one handshake is open, what comes for the other changes nothing, and the "
    "session can do all that it can") {
  Bytes retry(dtls13::kMostRetryBytes);
  retry.resize(dtls13::writeHelloRetryRequest(0x1301, 0, Bytes(20, 7), retry.data()));
  std::vector<Bytes> late = {
      verifyRequest(0),
      verifyRequest(1 << 16, 1),
      olderHello(Bytes(32, 3)),
      wire::record(content_type::kHandshake, 0, 2,
                   wire::message(handshake_type::kServerHello, 0, retry)),
      wire::record(content_type::kHandshake, 0, 3,
                   wire::message(handshake_type::kServerHelloDone, 2, {})),
      wire::record(content_type::kChangeCipherSpec, 0, 4, Bytes(1, 1)),
      wire::record(content_type::kHandshake, 1, 0, Bytes(40, 5)),
      wire::record(content_type::kApplicationData, 1, 1, Bytes(40, 5)),
      wire::joined({{0x2e, 0, 0, 0, 60}, Bytes(60, 6)}),
      wire::joined({{0x2f, 0, 1, 0, 60}, Bytes(60, 6)}),
  };
  for (const uint8_t description :
       {alert::kInappropriateFallback, alert::kProtocolVersion, alert::kDecryptError}) {
    late.push_back(plaintextAlert(kDtls12, 9, alert::kFatal, description));
  }
  for (const bool newer : {false, true}) {
    CAPTURE(newer);
    Endpoints world(serving(true, newer));
    const uint32_t number = openBeside(world, newer);
    ClientEndpoint& client = world.client(number);
    for (const Bytes& datagram : late) {
      world.tell(number, datagram);
      checkEcho(world, number);
    }
    // Of both handshakes: lookups that end now, and their time.
    for (const uint32_t question : {1u, 2u}) {
      answerLate(world, number, question, uint8_t{0x55});
      answerLate(world, number, question, std::nullopt);
    }
    world.run(20'000);
    client.updateKeys(kSession, true, world.now);
    client.flush();
    checkEcho(world, number);
    CHECK(world.at(number).opened.size() == 1);
    CHECK(world.at(number).ended.empty());
    CHECK(world.at(number).refused.empty());
    CHECK(client.stats().handshakes_failed == 0);
    SessionSeal seal(kSealingKey);
    Bytes sealed;
    CHECK(client.exportSession(kSession, seal, world.now, sealed));
    REQUIRE_FALSE(sealed.empty());
    CHECK(sealed[0] == (newer ? SessionSeal::kFormat13 : SessionSeal::kFormat12));
    for (const Bytes& datagram : late) world.tell(number, datagram);
    checkGone(world, number);
    CHECK(world.at(kServer).ended.empty());
  }
}

TEST_CASE("dtls versions: a key for DTLS 1.2 that comes when DTLS 1.3 is open is no key of its") {
  for (const std::optional<uint8_t> key : {std::optional<uint8_t>(0x42), {0x55}, {}}) {
    Endpoints world;
    bool newer = false;
    // A relay has the server begin in DTLS 1.2, and the client ask for its key. Neither would open with it.
    world.passing = [&](Role from, Bytes datagram) {
      constexpr size_t kMarkAt = kDtlsRecordHeaderBytes + kDtlsHandshakeHeaderBytes + 2 + 24;
      if (from == Role::Client && isHello(datagram)) {
        if (isOlder(datagram)) return only(withoutScsv(std::move(datagram)));
        if (!newer) return std::vector<Bytes>();
      }
      const bool hello = from == Role::Server && datagram[0] == content_type::kHandshake &&
                         datagram[kDtlsRecordHeaderBytes] == handshake_type::kServerHello;
      if (hello && !newer) datagram[kMarkAt] ^= 1;
      return only(std::move(datagram));
    };
    const uint32_t client = world.dial({.both = true, .asks = true});
    const auto& asked = world.at(client).questions;
    answerLate(world, client, asked.at(0).second.number, uint8_t{0x42});
    world.run([&] { return asked.size() == 2; });
    REQUIRE(asked.size() == 2);
    CHECK(asked[1].second.protocol == Protocol::Dtls12);
    newer = true;
    world.run([&] { return world.opened(client); });
    CHECK(protocolOf(world, client) == Protocol::Dtls13);
    answerLate(world, client, asked[1].second.number, key);
    checkEcho(world, client);
    CHECK(world.at(client).refused.empty());
    CHECK(world.at(client).ended.empty());
  }
}

TEST_CASE("dtls versions: when nobody is at the address any more, both handshakes end as one") {
  Endpoints world;
  const uint32_t number = dialUnanswered(world);
  ClientEndpoint& client = world.client(number);
  world.hangUp(number);
  world.run(10'000);
  REQUIRE(world.at(number).refused.size() == 1);
  REQUIRE(world.at(number).refused[0]);
  CHECK(std::string(world.at(number).refused[0]->code) == "MCBN_CONNECTION_FAILED");
  CHECK(client.deadline() == kNever);
  CHECK(client.find(kSession) == nullptr);
  CHECK(client.stats().handshakes_failed == 1);
  CHECK(client.stats().sessions == 0);
}

TEST_CASE("dtls versions: a session store gets one row, of the handshake that opened") {
  for (const bool newer : {false, true}) {
    CAPTURE(newer);
    EndpointsOptions options = serving(true, newer);
    options.client_rows = kSealingKey;
    Endpoints world(options);
    const uint32_t number = dialUnanswered(world);
    ClientEndpoint& client = world.client(number);
    client.rowsWritten({{kSession}}, world.now);
    CHECK(world.at(number).rows.empty());
    world.passing = hearing(newer);
    world.run([&] { return world.opened(number); });
    REQUIRE(world.at(number).rows.size() == 1);
    const RowEvent& first = world.at(number).rows[0];
    REQUIRE_FALSE(first.sealed.empty());
    CHECK(first.sealed[0] == (newer ? SessionSeal::kFormat13 : SessionSeal::kFormat12));
    client.rowsWritten({{kSession}}, world.now);
    checkEcho(world, number);
    const auto last = client.takeRow(kSession, world.now);
    REQUIRE(last);
    CHECK(last->name == first.name);
    checkGone(world, number);
    for (const RowEvent& row : world.at(number).rows) {
      CHECK(row.name == first.name);
      CHECK_FALSE(row.sealed.empty());
    }
  }
}

TEST_CASE("dtls versions: keys are logged while somebody wants them, whenever he says so") {
  // When it is wanted: while the key is asked for, or while both handshakes run; and when no longer.
  for (const bool newer : {false, true}) {
    for (const bool asks : {false, true}) {
      for (const bool wanted : {false, true}) {
        CAPTURE(newer);
        CAPTURE(asks);
        CAPTURE(wanted);
        Endpoints world(serving(true, newer));
        const uint32_t number =
            asks ? world.dial({.both = true, .asks = true}) : dialUnanswered(world);
        ClientEndpoint& client = world.client(number);
        client.setKeylog(true);
        client.setKeylog(wanted);
        const auto& asked = world.at(number).questions;
        if (asks) answerLate(world, number, asked.at(0).second.number, uint8_t{0x42});
        world.passing = hearing(newer);
        world.run([&] { return world.opened(number) || asked.size() == 2; });
        if (asked.size() == 2) answerLate(world, number, asked[1].second.number, uint8_t{0x42});
        REQUIRE(world.opened(number));
        const std::string label = newer ? "CLIENT_TRAFFIC_SECRET_0 " : "CLIENT_RANDOM ";
        const auto has = [&](const std::string& line) { return line.starts_with(label); };
        CHECK(std::ranges::count_if(world.at(number).keylog, has) == (wanted ? 1 : 0));
      }
    }
  }
}
