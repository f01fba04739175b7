// Our record layer and OpenSSL's, given the same keys and the same datagrams: the same messages.
//
// The server stays on OpenSSL's records (`server_openssl`). A RecordLayer beside it gets its keys
// from the key log, as any observer with the key could, and whatever the server is fed.
#include <doctest/doctest.h>

#include <algorithm>

#include "dtls_pair.h"
#include "session/session_secrets.h"
#include "wire.h"

using namespace mcbn;
using wire::fromHex;
using wire::Noise;

namespace {

// A handshake whose server keeps OpenSSL's records, and the same session's keys in a RecordLayer.
struct Twins {
  Twins(const char* ciphers, const AeadSuite& suite, const EVP_MD* hash) : pair(options(ciphers)) {
    pair.connect(steadyNow());
    Bytes server_random;
    pair.run([&](Bytes& datagram) {
      ByteView rest(datagram);
      const auto record = nextRecord(rest);
      // ServerHello: type, length, sequence, offset, length, version, random.
      const bool hello = record && record->epoch == 0 && record->fragment.size() > 46 &&
                         record->type == content_type::kHandshake &&
                         record->fragment[0] == handshake_type::kServerHello;
      if (hello) {
        const auto random = record->fragment.subspan(14, 32);
        server_random.assign(random.begin(), random.end());
      }
      return true;
    });
    REQUIRE(pair.bothOpen());
    REQUIRE(pair.server->onOpenssl());
    REQUIRE(!pair.client->onOpenssl());
    REQUIRE(server_random.size() == 32);
    REQUIRE(!pair.at_server.lines.empty());
    const std::string& line = pair.at_server.lines[0];  // CLIENT_RANDOM <random> <master secret>
    REQUIRE(line.size() >= 14 + 64 + 1 + 96);
    const Bytes secrets = wire::joined(
        {fromHex(line.substr(14 + 65, 96)), fromHex(line.substr(14, 64)), server_random});
    const ExporterSecrets exporter(Secret(secrets), hash, true);
    auto keys = exporter.recordKeys(suite, Role::Server);
    REQUIRE(keys.has_value());
    ours = std::make_unique<RecordLayer>(suite, 1, std::move(*keys), 1, 0, nullptr);
  }

  static PairOptions options(const char* ciphers) {
    PairOptions made{.ciphers = ciphers, .server_openssl = true};
    made.dtls.keylog = true;
    made.dtls.mtu = 1'400;
    return made;
  }

  Bytes sealed(const Bytes& message) {
    pair.at_client.outgoing.clear();
    REQUIRE(pair.client->send(message, steadyNow(), pair.at_client));
    return pair.at_client.outgoing.front();
  }

  void feed(const Bytes& datagram) {
    pair.toServer(datagram, steadyNow());
    ByteView rest(datagram);
    while (!rest.empty()) {
      const auto record = nextRecord(rest);
      if (!record) break;
      Bytes place(record->fragment.size());
      const auto length = ours->open(*record, place.data());
      if (!length || *length == 0 || record->type != content_type::kApplicationData) continue;
      const auto begin = place.begin() + static_cast<ptrdiff_t>(ours->contentOffset());
      messages.emplace_back(begin, begin + static_cast<ptrdiff_t>(*length));
    }
  }

  DtlsPair pair;
  std::unique_ptr<RecordLayer> ours;
  std::vector<Bytes> messages;
};

struct Suite {
  const char* ciphers;
  const AeadSuite& aead;
  const EVP_MD* hash;
};

std::vector<Suite> suites() {
  return {{"PSK-AES128-GCM-SHA256", aead::kAes128Gcm, EVP_sha256()},
          {"PSK-AES256-GCM-SHA384", aead::kAes256Gcm, EVP_sha384()},
          {"PSK-AES128-CCM", aead::kAes128Ccm, EVP_sha256()},
          {"PSK-AES256-CCM", aead::kAes256Ccm, EVP_sha256()},
          {"PSK-AES128-CCM8", aead::kAes128Ccm8, EVP_sha256()},
          {"PSK-AES256-CCM8", aead::kAes256Ccm8, EVP_sha256()},
          {"PSK-CHACHA20-POLY1305", aead::kChaCha20Poly1305, EVP_sha256()},
          {"DHE-PSK-AES128-GCM-SHA256", aead::kAes128Gcm, EVP_sha256()}};
}

// What a network, or somebody in it, may make of the datagrams sent so far.
Bytes mangled(Noise& noise, const std::vector<Bytes>& sent) {
  Bytes datagram = sent[noise.below(sent.size())];
  switch (noise.below(8)) {
    case 0:  // a bit
      datagram[noise.below(datagram.size())] ^= static_cast<uint8_t>(1 << noise.below(8));
      break;
    case 1:  // cut short
      datagram.resize(1 + noise.below(datagram.size()));
      break;
    case 2:  // another epoch
      datagram[4] = static_cast<uint8_t>(noise.below(4));
      break;
    case 3:  // another number
      datagram[10] = static_cast<uint8_t>(noise.below(256));
      break;
    case 4: {  // two in one datagram
      const Bytes& other = sent[noise.below(sent.size())];
      datagram.insert(datagram.end(), other.begin(), other.end());
      break;
    }
    case 5:  // something behind it
      datagram.push_back(static_cast<uint8_t>(noise.below(256)));
      break;
    default:  // as it was: late, or a repeat
      break;
  }
  return datagram;
}

}  // namespace

TEST_CASE("records: ours and OpenSSL's deliver the same of the same datagrams, whatever they are") {
  for (const auto& [name, aead, hash] : suites()) {
    const auto& ciphers = name;
    CAPTURE(ciphers);
    Twins twins(ciphers, aead, hash);
    Noise noise(7);
    std::vector<Bytes> sent;
    for (unsigned round = 0; round < 400; ++round) {
      if (sent.empty() || noise.below(3) == 0) {
        sent.push_back(twins.sealed(noise.bytes(1 + noise.below(200))));
        if (noise.below(4) != 0) twins.feed(sent.back());  // the others are late, or never come
      } else {
        twins.feed(mangled(noise, sent));
      }
      REQUIRE(twins.pair.server->open());
    }
    CHECK(twins.messages.size() > 50);
    CHECK(twins.messages == twins.pair.at_server.messages);
  }
}

TEST_CASE("records: OpenSSL's server repeats its last flight, and so does ours") {
  for (const bool openssl : {true, false}) {
    CAPTURE(openssl);
    PairOptions options{.ciphers = "PSK-AES128-CCM8", .server_openssl = openssl};
    DtlsPair pair(options);
    pair.connect(steadyNow());
    bool lost = false;
    pair.run([&](Bytes& datagram) {
      ByteView rest(datagram);
      const auto record = nextRecord(rest);
      const bool last_flight = pair.server && pair.server->open() && !pair.client->open() &&
                               record && record->type == content_type::kChangeCipherSpec;
      if (!last_flight || lost) return true;
      lost = true;
      return false;
    });
    CHECK(lost);
    CHECK(pair.bothOpen());
    CHECK(pair.server->onOpenssl() == openssl);
  }
}

TEST_CASE("records: exporters agree with OpenSSL's, with and without a context (RFC 5705)") {
  PairOptions options{.ciphers = "PSK-AES128-GCM-SHA256"};
  DtlsPair pair(options);
  pair.connect(steadyNow());
  pair.run();
  REQUIRE(pair.bothOpen());
  DtlsOptions kept = options.dtls;
  kept.openssl_records = true;
  pair.server = nullptr;
  pair.client = std::make_unique<DtlsSession>(
      DtlsPair::contextOf(contextOptions(Role::Client, options.ciphers)), kept);
  pair.at_client = {};
  pair.at_server = {};
  pair.connect(steadyNow());
  pair.run();
  REQUIRE(pair.bothOpen());
  REQUIRE(pair.client->onOpenssl());
  REQUIRE(!pair.server->onOpenssl());
  const Bytes context = wire::text("context");
  for (const std::optional<ByteView> with :
       {std::optional<ByteView>(), std::optional<ByteView>(ByteView()),
        std::optional<ByteView>(context)}) {
    std::array<uint8_t, 40> by_openssl{}, by_us{};
    REQUIRE(pair.client->exportKeyingMaterial("EXPORTER-test", with, by_openssl));
    REQUIRE(pair.server->exportKeyingMaterial("EXPORTER-test", with, by_us));
    CHECK(by_openssl == by_us);
  }
  std::array<uint8_t, 16> out{};
  CHECK(!pair.server->exportKeyingMaterial("key expansion", std::nullopt, out));
}

TEST_CASE("records: cipher suites without an AEAD stay on OpenSSL") {
  DtlsPair pair({.ciphers = "PSK-AES128-CBC-SHA256"});
  pair.connect(steadyNow());
  pair.run();
  REQUIRE(pair.bothOpen());
  CHECK(pair.server->onOpenssl());
  CHECK(pair.client->onOpenssl());
}
