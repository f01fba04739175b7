// Two DtlsSessions that agree on connection IDs (RFC 9146), and everything that leaves them.
#include <doctest/doctest.h>

#include <map>

#include "dtls_pair.h"
#include "wire.h"

using namespace mcbn;
using wire::Noise;

namespace {

const Bytes kHello = wire::text("hello");
const std::vector<Bytes> kOnlyHello(1, kHello);
const char* const kAeads[] = {"PSK-AES128-GCM-SHA256",
                              "PSK-AES256-GCM-SHA384",
                              "PSK-AES128-CCM",
                              "PSK-AES256-CCM",
                              "PSK-AES128-CCM8",
                              "PSK-AES256-CCM8",
                              "ECDHE-PSK-CHACHA20-POLY1305",
                              "DHE-PSK-AES128-GCM-SHA256"};

using Id = std::optional<Bytes>;
struct Ids {
  Id client, server;
};
const Ids kIds[] = {{Bytes(3, 0xc1), Bytes(8, 0x51)},
                    {Bytes(), Bytes(8, 0x51)},
                    {Bytes(3, 0xc1), Bytes()},
                    {Bytes(), Bytes()},
                    {Bytes(255, 0xc1), Bytes(32, 0x51)}};

PairOptions optionsOf(const char* ciphers, const Ids& ids) {
  return {.ciphers = ciphers,
          .dtls = dtlsOptions(700, 10'000, 10),
          .client_id = ids.client,
          .server_id = ids.server};
}

// Encrypted records of one direction: all have the ID agreed on, and where two have the same number
// or the same explicit nonce, and so the same nonce, they are the same record.
size_t checkSent(const RecordingSink& sink, const Bytes& id, bool explicit_nonce) {
  std::map<uint64_t, Bytes> by_number;
  std::map<Bytes, Bytes> by_nonce;
  for (const Bytes& datagram : sink.sent) {
    for (ByteView rest(datagram); !rest.empty();) {
      const auto record = nextRecord(rest, id.size());
      REQUIRE(record.has_value());
      if (record->epoch == 0) continue;
      CHECK((record->type == content_type::kTls12Cid) == !id.empty());
      CHECK(std::ranges::equal(record->connection_id, id));
      const Bytes whole(record->whole.begin(), record->whole.end());
      CHECK(by_number.try_emplace(record->sequence, whole).first->second == whole);
      if (!explicit_nonce) continue;
      const ByteView nonce = record->fragment.first(8);
      CHECK(by_nonce.try_emplace(Bytes(nonce.begin(), nonce.end()), whole).first->second == whole);
    }
  }
  return by_number.size();
}

void checkNonces(const DtlsPair& pair, const char* ciphers, const Ids& ids) {
  const bool chacha = std::string_view(ciphers).find("CHACHA") != std::string_view::npos;
  CHECK(checkSent(pair.at_client, *ids.server, !chacha) >= 2);
  CHECK(checkSent(pair.at_server, *ids.client, !chacha) >= 2);
}

Bytes exported(const DtlsSession& session) {
  Bytes out(32);
  REQUIRE(session.exportKeyingMaterial("EXPERIMENTAL mcbn", {}, out));
  return out;
}

}  // namespace

TEST_CASE("session with connection IDs: every suite, IDs of every kind, no nonce twice") {
  for (const char* ciphers : kAeads) {
    for (const Ids& ids : kIds) {
      CAPTURE(ciphers);
      CAPTURE(ids.client->size());
      DtlsPair pair(optionsOf(ciphers, ids));
      pair.connect(steadyNow());
      pair.run();
      REQUIRE(pair.bothOpen());
      CHECK(std::ranges::equal(pair.server->ownConnectionId(), *ids.server));
      CHECK(std::ranges::equal(pair.client->ownConnectionId(), *ids.client));
      exchangeMessages(pair);
      CHECK(exported(*pair.client) == exported(*pair.server));
      pair.client->close(pair.at_client);
      while (pair.carryOne(steadyNow(), [](Bytes&) { return true; })) continue;
      REQUIRE(pair.at_server.endings.size() == 1);
      CHECK(!pair.at_server.endings[0].has_value());
      checkNonces(pair, ciphers, ids);
    }
  }
}

TEST_CASE("session with connection IDs: opens whichever datagrams are lost, no nonce twice") {
  for (const char* ciphers :
       {"PSK-AES128-GCM-SHA256", "PSK-AES128-CCM8", "ECDHE-PSK-CHACHA20-POLY1305"}) {
    for (unsigned missing = 0; missing < 12; ++missing) {
      for (const unsigned lost : {1U, 3U}) {
        CAPTURE(ciphers);
        CAPTURE(missing);
        DtlsPair pair(optionsOf(ciphers, kIds[0]));
        unsigned count = 0;
        pair.connect(steadyNow());
        pair.run([&](Bytes&) { return count++ / lost != missing; });
        REQUIRE(pair.bothOpen());
        exchangeMessages(pair);
        checkNonces(pair, ciphers, kIds[0]);
      }
    }
  }
}

TEST_CASE("session with connection IDs: the lost last flight is repeated byte by byte") {
  DtlsPair pair(optionsOf("PSK-CHACHA20-POLY1305", kIds[0]));
  unsigned withheld = 0;
  pair.connect(steadyNow());
  pair.run([&](Bytes& datagram) {
    ByteView rest(datagram);
    const auto first = nextRecord(rest);
    const bool last_flight = pair.server && pair.server->open() && first &&
                             first->type == content_type::kChangeCipherSpec && withheld < 3;
    withheld += last_flight;
    return !last_flight;
  });
  REQUIRE(pair.bothOpen());
  CHECK(withheld == 3);
  exchangeMessages(pair);
  checkNonces(pair, "PSK-CHACHA20-POLY1305", kIds[0]);
}

TEST_CASE("session with connection IDs: data that overtakes the Finished is kept and delivered") {
  DtlsPair pair(optionsOf("PSK-AES128-CCM8", kIds[0]));
  pair.connect(steadyNow());
  std::vector<Bytes> kept;
  pair.run(
      [&](Bytes& datagram) {
        const bool servers_last = pair.server && pair.server->open();
        if (servers_last) kept.push_back(datagram);
        return !servers_last;
      },
      60);
  REQUIRE(pair.server->open());
  REQUIRE(!kept.empty());
  REQUIRE(pair.server->send(kHello, steadyNow(), pair.at_server));
  pair.toClient(pair.at_server.sent.back(), steadyNow());
  CHECK(pair.at_client.messages.empty());
  pair.at_server.outgoing.clear();
  for (const Bytes& datagram : kept) {
    if (!pair.client->open()) pair.toClient(datagram, steadyNow());
  }
  REQUIRE(pair.client->open());
  CHECK(pair.at_client.messages == kOnlyHello);
}

TEST_CASE("session with connection IDs: records without one, or with one unasked, are dropped") {
  Noise noise(3);
  for (const Ids& ids : {kIds[0], kIds[1], Ids{}}) {
    DtlsPair pair(optionsOf("PSK-AES128-GCM-SHA256", ids));
    pair.connect(steadyNow());
    pair.run();
    REQUIRE(pair.bothOpen());
    REQUIRE(pair.client->send(kHello, steadyNow(), pair.at_client));
    const Bytes good = pair.at_client.sent.back();
    pair.at_client.outgoing.clear();
    for (size_t length = 0; length < good.size(); ++length) {  // cut short
      pair.toServer(Bytes(good.begin(), good.begin() + static_cast<ptrdiff_t>(length)), 0);
    }
    for (size_t at = 0; at < good.size(); ++at) {
      Bytes forged = good;
      forged[at] ^= 0x40;
      pair.toServer(forged, steadyNow());
    }
    for (const uint8_t type : {content_type::kApplicationData, content_type::kTls12Cid,
                               content_type::kAlert, content_type::kHandshake}) {
      for (size_t length = 0; length < 60; ++length) {
        pair.toServer(wire::record(type, 1, 900 + length, noise.bytes(length)), steadyNow());
      }
    }
    REQUIRE(pair.bothOpen());
    CHECK(pair.at_server.messages.empty());
    pair.toServer(good, steadyNow());
    CHECK(pair.at_server.messages == kOnlyHello);
    pair.toServer(good, steadyNow());  // once only
    CHECK(pair.at_server.messages.size() == 1);
  }
}

TEST_CASE("session with connection IDs: none where only one side wants them, or the suite is CBC") {
  for (const auto& [name, ids] : {std::pair("PSK-AES128-CCM8", Ids{Bytes(3, 1), {}}),
                                  std::pair("PSK-AES128-CCM8", Ids{{}, Bytes(3, 1)}),
                                  std::pair("PSK-AES128-CBC-SHA256", kIds[0])}) {
    const char* const ciphers = name;
    CAPTURE(ciphers);
    DtlsPair pair(optionsOf(ciphers, ids));
    pair.connect(steadyNow());
    pair.run();
    REQUIRE(pair.bothOpen());
    CHECK(pair.server->ownConnectionId().empty());
    CHECK(pair.client->ownConnectionId().empty());
    exchangeMessages(pair);
  }
}
