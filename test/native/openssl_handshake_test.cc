// Real PSK handshakes of the system's OpenSSL, both ends in memory, with the screens between them:
// what real peers send passes, is held where it should be, and completes after release().
#include <doctest/doctest.h>
#include <openssl/ssl.h>

#include <cstring>
#include <memory>
#include <utility>

#include "record/handshake_screen.h"
#include "record/stream_screen.h"
#include "wire.h"

using namespace mcbn;

namespace {

struct Freer {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

const Bytes kKey(32, 0x42);
bool keyKnown = true;  // what a held record protects: OpenSSL must not ask before
unsigned asked = 0;

unsigned giveKey(unsigned char* key) {
  asked++;
  if (!keyKnown) return 0;
  std::copy(kKey.begin(), kKey.end(), key);
  return static_cast<unsigned>(kKey.size());
}

unsigned clientKey(SSL*, const char*, char* identity, unsigned, unsigned char* key, unsigned) {
  std::strcpy(identity, "Client1");
  return giveKey(key);
}

unsigned serverKey(SSL*, const char* identity, unsigned char* key, unsigned) {
  CHECK(std::string(identity) == "Client1");
  return giveKey(key);
}

// One end. Bytes in through `incoming`, out through take().
struct End {
  End(bool datagrams, bool server, const char* hint, const char* ciphers) {
    context.reset(SSL_CTX_new(datagrams ? DTLS_method() : TLS_method()));
    REQUIRE(SSL_CTX_set_max_proto_version(context.get(),
                                          datagrams ? DTLS1_2_VERSION : TLS1_2_VERSION) == 1);
    REQUIRE(SSL_CTX_set_cipher_list(context.get(), ciphers) == 1);
    SSL_CTX_set_dh_auto(context.get(), 1);
    SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET | SSL_OP_NO_QUERY_MTU);
    if (server) {
      SSL_CTX_set_psk_server_callback(context.get(), serverKey);
      SSL_CTX_use_psk_identity_hint(context.get(), hint);
    } else {
      SSL_CTX_set_psk_client_callback(context.get(), clientKey);
    }
    ssl.reset(SSL_new(context.get()));
    incoming = BIO_new(BIO_s_mem());
    outgoing = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(incoming, -1);
    SSL_set_bio(ssl.get(), incoming, outgoing);
    SSL_set_mtu(ssl.get(), 300);  // small: DHE key exchanges come in fragments
    server ? SSL_set_accept_state(ssl.get()) : SSL_set_connect_state(ssl.get());
  }

  // Feeds one record (or stream bytes) and steps.
  void feed(ByteView bytes) {
    REQUIRE(BIO_write(incoming, bytes.data(), static_cast<int>(bytes.size())) > 0);
    step();
  }
  void step() { done = done || SSL_do_handshake(ssl.get()) == 1; }
  Bytes take() {
    Bytes out(static_cast<size_t>(BIO_pending(outgoing)));
    if (!out.empty()) BIO_read(outgoing, out.data(), static_cast<int>(out.size()));
    return out;
  }

  std::unique_ptr<SSL_CTX, Freer> context;
  std::unique_ptr<SSL, Freer> ssl;
  BIO* incoming;
  BIO* outgoing;
  bool done = false;
};

// Passes `flight` record by record; what is held is returned.
template <typename Screen>
std::vector<Bytes> deliver(const Bytes& flight, Screen& screen, End& to) {
  std::vector<Bytes> held;
  ByteView rest = flight;
  while (const auto record = nextRecord(rest)) {
    const Verdict verdict = screen.inspect(*record);
    CHECK_MESSAGE(verdict != Verdict::Drop, nameOf(screen.dropReason()));
    if (verdict == Verdict::Pass) to.feed(record->whole);
    if (verdict == Verdict::Hold) held.emplace_back(record->whole.begin(), record->whole.end());
  }
  CHECK(rest.empty());
  return held;
}

void release(HandshakeScreen& screen, const std::vector<Bytes>& held, End& to) {
  screen.release();
  for (const Bytes& record : held) to.feed(record);
}

void dtlsHandshake(const char* ciphers, const char* hint) {
  End client(true, false, nullptr, ciphers), server(true, true, hint, ciphers);
  ServerScreen serverScreen(true);
  ClientScreen clientScreen(true);
  asked = 0;
  keyKnown = false;

  client.step();
  CHECK(deliver(client.take(), serverScreen, server).empty());
  auto held = deliver(server.take(), clientScreen, client);
  REQUIRE(held.size() == 1);
  REQUIRE(clientScreen.hint());
  CHECK(std::string(clientScreen.hint()->begin(), clientScreen.hint()->end()) ==
        (hint ? hint : ""));
  CHECK(asked == 0);
  keyKnown = true;
  release(clientScreen, held, client);
  CHECK(asked == 1);

  keyKnown = false;
  held = deliver(client.take(), serverScreen, server);
  REQUIRE(held.size() >= 3);  // key exchange, ChangeCipherSpec, Finished
  REQUIRE(serverScreen.identity());
  CHECK(std::string(serverScreen.identity()->begin(), serverScreen.identity()->end()) == "Client1");
  CHECK(serverScreen.changeCipherSpecSeen());
  CHECK(asked == 1);
  keyKnown = true;
  release(serverScreen, held, server);
  CHECK(asked == 2);
  CHECK(server.done);
  CHECK(deliver(server.take(), clientScreen, client).empty());
  CHECK(client.done);
}

}  // namespace

TEST_CASE("openssl: DTLS 1.2 handshakes pass both screens, held until the key is there") {
  for (const char* ciphers : {"PSK-AES128-GCM-SHA256", "ECDHE-PSK-CHACHA20-POLY1305",
                              "DHE-PSK-AES128-GCM-SHA256", "PSK-AES128-CCM8:@SECLEVEL=0"}) {
    for (const char* hint : {static_cast<const char*>(nullptr), "a hint"}) {
      CAPTURE(ciphers);
      dtlsHandshake(ciphers, hint);
    }
  }
}

TEST_CASE("openssl: a held handshake can be thrown away at any time") {
  End client(true, false, nullptr, "PSK"), server(true, true, "hint", "PSK");
  ServerScreen screen(true);
  client.step();
  deliver(client.take(), screen, server);
  keyKnown = true;
  ByteView flight;
  const Bytes answer = server.take();
  flight = answer;
  while (const auto record = nextRecord(flight)) client.feed(record->whole);
  CHECK_FALSE(deliver(client.take(), screen, server).empty());
  CHECK(screen.holding());
}

TEST_CASE("openssl: TLS 1.2 handshakes pass both screens, held until the key is there") {
  for (const char* ciphers :
       {"PSK-AES128-GCM-SHA256", "ECDHE-PSK-CHACHA20-POLY1305", "DHE-PSK-AES128-GCM-SHA256"}) {
    for (const char* hint : {static_cast<const char*>(nullptr), "a hint"}) {
      CAPTURE(ciphers);
      End client(false, false, nullptr, ciphers), server(false, true, hint, ciphers);
      StreamScreen toServer(StreamScreen::Role::Server, true);
      StreamScreen toClient(StreamScreen::Role::Client, true);
      asked = 0;
      keyKnown = false;
      const auto deliver = [](Bytes& buffered, Bytes received, StreamScreen& screen, End& to) {
        buffered.insert(buffered.end(), received.begin(), received.end());
        const size_t count = screen.pass(buffered);
        if (count > 0) to.feed(ByteView(buffered).first(count));
        buffered.erase(buffered.begin(), buffered.begin() + count);
      };
      Bytes atServer, atClient;
      client.step();
      deliver(atServer, client.take(), toServer, server);
      CHECK(atServer.empty());
      deliver(atClient, server.take(), toClient, client);
      REQUIRE(toClient.holding());
      REQUIRE(toClient.hint());
      CHECK(std::string(toClient.hint()->begin(), toClient.hint()->end()) == (hint ? hint : ""));
      CHECK(asked == 0);
      keyKnown = true;
      toClient.release();
      deliver(atClient, {}, toClient, client);
      CHECK(asked == 1);

      keyKnown = false;
      deliver(atServer, client.take(), toServer, server);
      REQUIRE(toServer.holding());
      CHECK(asked == 1);
      keyKnown = true;
      toServer.release();
      deliver(atServer, {}, toServer, server);
      CHECK(asked == 2);
      CHECK(server.done);
      deliver(atClient, server.take(), toClient, client);
      CHECK(client.done);
    }
  }
}
