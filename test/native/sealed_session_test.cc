// Sessions that are taken out of one DtlsSession, sealed, and go on in another. docs/SESSIONS.md has
// the format.
#include "session/sealed_session.h"

#include <doctest/doctest.h>
#include <openssl/evp.h>

#include <map>

#include "dtls_pair.h"
#include "wire.h"

using namespace mcbn;

namespace {

const Bytes kKey(SessionSeal::kKeyBytes, 0x5e);
const Bytes kHello = wire::text("hello");

const char* const kSuites[] = {
    "PSK-AES128-GCM-SHA256",
    "PSK-AES256-GCM-SHA384",
    "PSK-AES128-CCM",
    "PSK-AES256-CCM",
    "PSK-AES128-CCM8",
    "PSK-AES256-CCM8",
    "PSK-CHACHA20-POLY1305",
    "DHE-PSK-AES128-CCM8",
    "ECDHE-PSK-CHACHA20-POLY1305",
    "DHE-PSK-AES256-GCM-SHA384",
};

std::shared_ptr<const Context> contextFor(Role role, const std::string& ciphers = {}) {
  return DtlsPair::contextOf(contextOptions(role, ciphers));
}

AddressBytes ipv4Peer() {
  AddressBytes address;
  REQUIRE(address.append(Bytes{4, 192, 0, 2, 1, 0x16, 0x33}));
  return address;
}

Bytes sealedOf(DtlsSession& session, Milliseconds silence = 0) {
  auto state = session.takeState();
  REQUIRE(state);
  Bytes sealed;
  REQUIRE(SessionSeal(kKey).seal({std::move(*state), ipv4Peer(), silence}, sealed));
  return sealed;
}

SealFault faultOf(ByteView sealed, const Context& context, const Bytes& key = kKey) {
  return SessionSeal(key).unseal(sealed, context).fault;
}

std::unique_ptr<DtlsSession> revived(ByteView sealed, const Context& context) {
  auto opened = SessionSeal(kKey).unseal(sealed, context);
  REQUIRE(opened.fault == SealFault::None);
  return std::make_unique<DtlsSession>(std::move(*opened.session->of12()), nullptr);
}

std::unique_ptr<DtlsPair> openPair(const PairOptions& options = {}) {
  auto pair = std::make_unique<DtlsPair>(options);
  pair->connect(steadyNow());
  pair->run();
  REQUIRE(pair->bothOpen());
  return pair;
}

// Whether two records of epoch 1 had one number. The same bytes may be sent again: a last flight.
bool anyNumberTwice(const std::vector<Bytes>& sent, size_t id) {
  std::map<uint64_t, Bytes> records;
  for (const Bytes& datagram : sent) {
    for (ByteView rest = datagram; !rest.empty();) {
      const auto record = nextRecord(rest, id);
      REQUIRE(record);
      if (record->epoch != 1) continue;
      const Bytes whole(record->whole.begin(), record->whole.end());
      const auto [found, first] = records.emplace(record->sequence, whole);
      if (!first && found->second != whole) return true;
    }
  }
  return false;
}

// The GCM of docs/SESSIONS.md, without any of our code: a nonce in front, a tag behind.
Bytes gcm(bool sealing, ByteView nonce, ByteView text, Bytes& tag) {
  const Bytes additional = wire::text("mcbn DTLS session\x01");
  Bytes out(text.size());
  int done = 0;
  EVP_CIPHER_CTX* const context = EVP_CIPHER_CTX_new();
  REQUIRE(EVP_CipherInit_ex(context, EVP_aes_256_gcm(), nullptr, kKey.data(), nonce.data(),
                            sealing ? 1 : 0) == 1);
  EVP_CipherUpdate(context, nullptr, &done, additional.data(), static_cast<int>(additional.size()));
  EVP_CipherUpdate(context, out.data(), &done, text.data(), static_cast<int>(text.size()));
  if (!sealing) EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, 16, tag.data());
  REQUIRE(EVP_CipherFinal_ex(context, out.data(), &done) == 1);
  if (sealing) EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, tag.data());
  EVP_CIPHER_CTX_free(context);
  return out;
}

Bytes stateIn(ByteView sealed) {
  Bytes tag(sealed.end() - 16, sealed.end());
  return gcm(false, sealed.subspan(1, 12), sealed.subspan(13, sealed.size() - 29), tag);
}

Bytes sealedAgain(ByteView state) {
  const Bytes nonce(12, 0x33);
  Bytes tag(16);
  Bytes sealed{1};
  const Bytes text = gcm(true, nonce, state, tag);
  Writer(sealed).bytes(nonce).bytes(text).bytes(tag);
  return sealed;
}

}  // namespace

TEST_CASE("sealed session: both sides go on elsewhere, with every AEAD suite, in 200 bytes") {
  for (const char* suite : kSuites) {
    for (const bool with_ids : {false, true}) {
      CAPTURE(suite);
      CAPTURE(with_ids);
      PairOptions options{.ciphers = suite};
      if (with_ids) options.client_id = options.server_id = Bytes(8, 7);
      const auto pair = openPair(options);
      exchangeMessages(*pair);
      const Bytes server = sealedOf(*pair->server), client = sealedOf(*pair->client);
      CHECK(server.size() <= 200);
      CHECK(client.size() <= 200);
      std::array<uint8_t, 32> before{}, after{};
      pair->server = revived(server, *contextFor(Role::Server, suite));
      REQUIRE(pair->server->exportKeyingMaterial("EXPORTER-test", {}, before));
      pair->client = revived(client, *contextFor(Role::Client, suite));
      REQUIRE(pair->client->exportKeyingMaterial("EXPORTER-test", {}, after));
      CHECK(before == after);
      CHECK(pair->server->identity() == "Client1");
      CHECK(pair->server->returnRoutability() == with_ids);
      exchangeMessages(*pair);
      for (const RecordingSink* sink : {&pair->at_client, &pair->at_server}) {
        CHECK_FALSE(anyNumberTwice(sink->sent, with_ids ? 8 : 0));
      }
    }
  }
}

TEST_CASE("sealed session: what was agreed on is told again") {
  const auto pair = openPair({.ciphers = "PSK-AES128-CCM8"});
  exchangeMessages(*pair);
  const Opened was = pair->at_server.opens.at(0);
  const size_t largest = pair->at_server.largest;
  pair->server = revived(sealedOf(*pair->server), *pair->server_context);
  const Opened is = pair->server->describe();
  CHECK(is.cipher == was.cipher);
  CHECK(is.standard_cipher == was.standard_cipher);
  CHECK(is.identity == was.identity);
  CHECK(is.protocol == was.protocol);
  CHECK(is.extended_master_secret == was.extended_master_secret);
  CHECK(pair->server->maxMessage(400) == largest);
}

TEST_CASE("sealed session: the owner that gave it away sends nothing more") {
  const auto pair = openPair();
  exchangeMessages(*pair);
  sealedOf(*pair->server);
  const size_t sent = pair->at_server.sent.size();
  CHECK(pair->server->state() == DtlsSession::State::Ended);
  CHECK_FALSE(pair->server->send(kHello, steadyNow(), pair->at_server));
  CHECK_FALSE(pair->server->challengePath({}, pair->at_server));
  pair->server->close(pair->at_server);
  REQUIRE(pair->client->send(kHello, steadyNow(), pair->at_client));
  while (pair->carryOne(steadyNow(), [](Bytes&) { return true; })) continue;
  CHECK(pair->at_server.sent.size() == sent);
  CHECK(pair->at_server.messages.size() == 1);  // of exchangeMessages()
  CHECK_FALSE(pair->server->takeState());
}

TEST_CASE(
    "sealed session: a replay of what was heard before is refused (RFC 6347 section 4.1.2.6)") {
  for (const uint32_t window : {64u, 1'024u}) {
    CAPTURE(window);
    PairOptions options;
    options.dtls.replay_window = window;
    const auto pair = openPair(options);
    for (unsigned i = 0; i < 200; ++i) REQUIRE(pair->client->send(kHello, 0, pair->at_client));
    std::vector<Bytes> records(pair->at_client.outgoing.begin(), pair->at_client.outgoing.end());
    pair->at_client.outgoing.clear();
    // The last but three, and one more that overtook: those between may still come.
    for (size_t i = 0; i < records.size(); ++i) {
      if (i < 196 || i == 198) pair->toServer(records[i], 0);
    }
    REQUIRE(pair->at_server.messages.size() == 197);
    auto opened = SessionSeal(kKey).unseal(sealedOf(*pair->server), *pair->server_context);
    REQUIRE(opened.session);
    opened.session->of12()->replay_window = window;
    pair->server = std::make_unique<DtlsSession>(std::move(*opened.session->of12()), nullptr);
    pair->at_server.messages.clear();
    for (const Bytes& record : records) pair->toServer(record, 0);
    CHECK(pair->at_server.messages.size() == 3);
    for (const Bytes& record : records) pair->toServer(record, 0);
    CHECK(pair->at_server.messages.size() == 3);
  }
}

TEST_CASE(
    "sealed session: a change of any bit is refused, and so is every shorter or longer copy") {
  const auto pair = openPair();
  Bytes sealed = sealedOf(*pair->server);
  const Context& context = *pair->server_context;
  SessionSeal seal(kKey);
  for (size_t bit = 0; bit < 8 * sealed.size(); ++bit) {
    sealed[bit / 8] ^= 1 << bit % 8;
    const SealFault fault = seal.unseal(sealed, context).fault;
    CHECK(fault == (bit < 8 ? SealFault::Version : SealFault::Forged));
    sealed[bit / 8] ^= 1 << bit % 8;
  }
  for (size_t length = 0; length < sealed.size(); ++length) {
    CHECK(seal.unseal(ByteView(sealed).first(length), context).fault == SealFault::Forged);
  }
  Bytes longer = sealed;
  longer.push_back(0);
  CHECK(seal.unseal(longer, context).fault == SealFault::Forged);
  CHECK(seal.unseal(sealed, context).fault == SealFault::None);
}

TEST_CASE("sealed session: another key, role, suite or version is refused by its name") {
  const auto pair = openPair({.ciphers = "PSK-AES128-CCM8"});
  exchangeMessages(*pair);
  const Bytes server = sealedOf(*pair->server), client = sealedOf(*pair->client);
  CHECK(faultOf(server, *pair->server_context, Bytes(32, 0x5f)) == SealFault::Forged);
  CHECK(faultOf(server, *contextFor(Role::Client)) == SealFault::WrongRole);
  CHECK(faultOf(client, *contextFor(Role::Server)) == SealFault::WrongRole);
  CHECK(faultOf(server, *contextFor(Role::Server, "PSK-AES128-GCM-SHA256")) == SealFault::Suite);
  Bytes newer = server;
  newer[0] = SessionSeal::kFormat13 + 1;
  CHECK(faultOf(newer, *pair->server_context) == SealFault::Version);
}

TEST_CASE("sealed session: the same bytes are taken once") {
  const auto pair = openPair();
  const Bytes server = sealedOf(*pair->server), client = sealedOf(*pair->client);
  ImportedSessions imported;
  CHECK(imported.take(server));
  CHECK_FALSE(imported.take(server));
  CHECK(imported.take(client));
  CHECK_FALSE(imported.take(client));
}

TEST_CASE("sealed session: two seals of one state have nothing in common") {
  const auto pair = openPair();
  auto state = pair->server->takeState();
  REQUIRE(state);
  const PortableSession session{std::move(*state), ipv4Peer(), 0};
  SessionSeal seal(kKey);
  Bytes first, second;
  REQUIRE(seal.seal(session, first));
  REQUIRE(seal.seal(session, second));
  size_t equal = 0;
  for (size_t i = 1; i < first.size(); ++i) equal += first[i] == second[i];
  CHECK(equal < first.size() / 8);
}

TEST_CASE("sealed session: the last flight goes along while the peer may ask for it") {
  const auto pair = openPair();
  // Nothing but the handshake was heard: ours may have been lost.
  const auto flight = pair->at_server.sent.back();
  Bytes sealed = sealedOf(*pair->server);
  CHECK(sealed.size() > 200);
  auto opened = SessionSeal(kKey).unseal(sealed, *pair->server_context);
  REQUIRE(opened.session);
  REQUIRE_FALSE(opened.session->of12()->last_flight.empty());
  CHECK(opened.session->of12()->last_flight.back() == flight);
}

TEST_CASE("sealed session: after 240 s nobody asks for the last flight (RFC 6347 section 4.2.4)") {
  for (const Milliseconds silence : {239'999, 240'000}) {
    const auto pair = openPair();
    const Bytes sealed = sealedOf(*pair->server, silence);
    const auto opened = SessionSeal(kKey).unseal(sealed, *pair->server_context);
    REQUIRE(opened.session);
    CHECK(opened.session->of12()->last_flight.empty() == (silence == 240'000));
  }
}

TEST_CASE("sealed session: silence is kept to the second, the address to the byte") {
  const auto pair = openPair();
  const auto opened =
      SessionSeal(kKey).unseal(sealedOf(*pair->server, 61'999), *pair->server_context);
  REQUIRE(opened.session);
  CHECK(opened.session->silence == 61'000);
  CHECK(std::ranges::equal(opened.session->peer.view(), ipv4Peer().view()));
}

TEST_CASE("sealed session: a client's own address is kept in a row, and only a client's") {
  AddressBytes local;
  REQUIRE(local.append(Bytes{4, 192, 0, 2, 9, 0xd4, 0x31}));
  for (const Role role : {Role::Client, Role::Server}) {
    const auto pair = openPair();
    DtlsSession& session = role == Role::Client ? *pair->client : *pair->server;
    SessionSeal seal(kKey);
    Bytes sealed;
    const Bytes name(16, 0x77);
    REQUIRE(seal.seal({*session.takeState(), ipv4Peer(), 0, local}, sealed, name));
    const auto context = contextFor(role);
    CHECK(seal.unseal(sealed, *context).fault == SealFault::Forged);  // bound to its name
    const auto opened = seal.unseal(sealed, *context, name);
    REQUIRE(opened.fault == SealFault::None);
    const ByteView kept = opened.session->local.view();
    CHECK(Bytes(kept.begin(), kept.end()) ==
          (role == Role::Client ? Bytes{4, 192, 0, 2, 9, 0xd4, 0x31} : Bytes()));
  }
}

TEST_CASE("sealed session: records of OpenSSL, and handshakes, stay where they are") {
  const auto cbc = openPair({.ciphers = "PSK-AES128-CBC-SHA256"});
  CHECK_FALSE(cbc->server->portable());
  CHECK_FALSE(cbc->server->takeState());
  exchangeMessages(*cbc);
  DtlsPair shaking;
  shaking.connect(steadyNow());
  CHECK_FALSE(shaking.client->portable());
  CHECK_FALSE(shaking.client->takeState());
}

TEST_CASE("replay window: goes on where another was, with nothing older than 64 numbers let in") {
  for (const size_t size : {32u, 64u, 65u, 1'000u}) {
    for (const uint64_t newest : {0ull, 5ull, 63ull, 64ull, 100ull, 100'000ull}) {
      CAPTURE(size);
      CAPTURE(newest);
      ReplayWindow was(size);
      for (uint64_t i = newest > 2'000 ? newest - 2'000 : 0; i <= newest; ++i) {
        if (i % 3 != 1) was.mark(i);
      }
      was.mark(newest);
      ReplayWindow is(size);
      is.resume(was.newest(), was.newestSeen());
      CHECK(is.newest() == newest);
      for (uint64_t age = 0; age <= newest && age < 200; ++age) {
        const bool expected = age >= 64 ? true : was.seen(newest - age);
        CHECK(is.seen(newest - age) == expected);
      }
      for (uint64_t next = newest + 1; next < newest + 300; ++next) {
        CHECK_FALSE(is.seen(next));
        if (next % 2 == 0) is.mark(next);
      }
    }
  }
}

TEST_CASE("sealed session: has the bytes that docs/SESSIONS.md names, in that order") {
  PairOptions options{.ciphers = "PSK-AES128-CCM8"};
  options.client_id = Bytes{1, 2, 3};
  options.server_id = Bytes(8, 9);
  const auto pair = openPair(options);
  exchangeMessages(*pair);
  exchangeMessages(*pair);
  const Bytes sealed = sealedOf(*pair->server, 5'000);
  CHECK(sealed[0] == 1);
  const Bytes state = stateIn(sealed);
  Reader in(state);
  uint8_t flags = 0;
  uint16_t suite = 0, port = 0;
  ByteView secrets, host, identity, own, peers;
  uint64_t next = 0, newest = 0, blocks = 0, forgeries = 0, length = 0, silence = 0, trip = 0;
  uint8_t family = 0;
  REQUIRE((in.u8(flags) && in.u16(suite) && in.take(48 + 32 + 32, secrets)));
  CHECK(flags == 1 + 2 + 4 + 8 + 64);
  CHECK(suite == 0xc0a8);  // TLS_PSK_WITH_AES_128_CCM_8, RFC 6655
  REQUIRE((in.variable(next) && in.variable(newest) && in.variable(blocks)));
  CHECK(next >= 3);  // Finished and two messages
  CHECK(newest >= 2);
  CHECK(blocks >= 6);
  REQUIRE((in.variable(forgeries) && in.variable(length) && in.u8(family)));
  CHECK(forgeries == 0);
  CHECK(length == 7);
  REQUIRE((in.take(4, host) && in.u16(port) && in.variable(silence) && in.variable(trip)));
  CHECK(family == 4);
  CHECK(port == 0x1633);
  CHECK(silence == 5);
  REQUIRE((in.variable(length) && in.take(length, identity)));
  CHECK(std::ranges::equal(identity, wire::text("Client1")));
  REQUIRE((in.variable(length) && in.take(length, own)));
  CHECK(std::ranges::equal(own, *options.server_id));
  REQUIRE((in.variable(length) && in.take(length, peers)));
  CHECK(std::ranges::equal(peers, *options.client_id));
  CHECK(in.empty());
  CHECK(faultOf(sealedAgain(state), *pair->server_context) == SealFault::None);
}

TEST_CASE("sealed session: authentic bytes that are no session break nothing (seed 5)") {
  PairOptions options;
  options.client_id = options.server_id = Bytes(8, 4);
  const auto pair = openPair(options);
  const Bytes state = stateIn(sealedOf(*pair->server));
  const Context& context = *pair->server_context;
  for (size_t length = 0; length < state.size(); ++length) {
    CHECK(faultOf(sealedAgain(ByteView(state).first(length)), context) != SealFault::None);
  }
  Bytes longer = state;
  longer.push_back(0);
  CHECK(faultOf(sealedAgain(longer), context) == SealFault::Malformed);
  wire::Noise noise(5);
  unsigned taken = 0;
  for (unsigned round = 0; round < 4'000; ++round) {
    Bytes changed = state;
    for (size_t count = 1 + noise.below(4); count > 0; --count) {
      changed[noise.below(changed.size())] = static_cast<uint8_t>(noise.below(256));
    }
    auto opened = SessionSeal(kKey).unseal(sealedAgain(changed), context);
    if (!opened.session) continue;
    taken += 1;
    RecordingSink sink;
    DtlsSession session(std::move(*opened.session->of12()), nullptr);
    session.send(kHello, 0, sink);
    Bytes datagram = pair->at_client.sent.back();
    session.receive(datagram, 0, sink);
    session.close(sink);
  }
  CHECK(taken > 0);
}
