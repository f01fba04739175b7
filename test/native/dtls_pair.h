// dtls_pair.h: a client's and a server's DtlsSession joined by two queues, with the cookie exchange
// that the server's endpoint would make.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "record/cookie.h"
#include "record/dtls_client_hello.h"
#include "record/hello_verify_request.h"
#include "recording_sink.h"
#include "session/dtls_session.h"

namespace mcbn {

inline Milliseconds steadyNow() {
  using std::chrono::steady_clock;
  return static_cast<Milliseconds>(
      std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now().time_since_epoch())
          .count());
}

inline ContextOptions contextOptions(Role role, const std::string& ciphers = {}) {
  ContextOptions options;
  options.role = role;
  options.transport = Transport::Dtls;
  options.ciphers = ciphers;
  return options;
}

struct PairOptions {
  std::string ciphers = {};
  std::string hint = {};
  bool ask = false;          // the server asks instead of having a table
  bool client_asks = false;  // the client asks for a key by the hint
  uint8_t client_key = 0x42;
  DtlsOptions dtls = dtlsOptions(400, 10'000, 10);
  bool server_openssl = false;  // the server keeps OpenSSL's records
  // Connection IDs that each side wants; nullopt: it does not want to agree on any.
  std::optional<Bytes> client_id = {}, server_id = {};
  CipherContexts* contexts = nullptr;  // of all directions; null: each keeps its own
  std::string identity = "Client1";
};

class DtlsPair {
 public:
  explicit DtlsPair(const PairOptions& options = {}) : options_(options) {
    ContextOptions serving = contextOptions(Role::Server, options.ciphers);
    serving.identity_hint = options.hint;
    auto table = std::make_shared<KeyTable>();
    if (!options.ask) table->set(options.identity, {testKey()});
    serving.psk = {.table = table, .ask = options.ask};
    server_context = contextOf(std::move(serving));
    client = std::make_unique<DtlsSession>(contextOf(contextOptions(Role::Client, options.ciphers)),
                                           options.dtls, options.contexts);
    if (options.client_id) client->useConnectionId(*options.client_id);
  }

  void connect(Milliseconds now) {
    std::optional<std::pair<Identity, PskEntry>> key;
    if (!options_.client_asks)
      key.emplace(options_.identity, PskEntry{testKey(options_.client_key)});
    client->connect(std::move(key), now, at_client);
  }

  // What the endpoint does with a datagram of the client's.
  void toServer(const Bytes& datagram, Milliseconds now) {
    const auto hello = parseClientHello(datagram);
    if (hello && hello->cookie.empty()) {
      const HelloVerifyRequest answer = helloVerifyRequest(*hello, Cookie{});
      at_server.outgoing.emplace_back(answer.begin(), answer.end());
    } else if (server) {
      Bytes scratch = datagram;
      server->receive(scratch, now, at_server);
    } else if (hello) {
      DtlsOptions dtls = options_.dtls;
      dtls.openssl_records = dtls.openssl_records || options_.server_openssl;
      server = std::make_unique<DtlsSession>(server_context, dtls, options_.contexts);
      if (options_.server_id) server->useConnectionId(*options_.server_id);
      server->accept(datagram, now, at_server);
    }
  }
  void toClient(const Bytes& datagram, Milliseconds now) {
    Bytes scratch = datagram;
    client->receive(scratch, now, at_client);
  }

  // Carries one datagram, if there is one; `pass` may keep or alter it.
  template <typename Pass>
  bool carryOne(Milliseconds now, Pass&& pass) {
    for (RecordingSink* from : {&at_client, &at_server}) {
      if (from->outgoing.empty()) continue;
      Bytes datagram = std::move(from->outgoing.front());
      from->outgoing.pop_front();
      if (!pass(datagram)) return true;
      from == &at_client ? toServer(datagram, now) : toClient(datagram, now);
      return true;
    }
    return false;
  }

  // Runs both until nothing is under way; deadlines fire when they are due by the real clock.
  template <typename Pass>
  void run(Pass&& pass, Milliseconds limit = 5'000) {
    const Milliseconds end = steadyNow() + limit;
    while (steadyNow() < end && !settled()) {
      const Milliseconds now = steadyNow();
      if (carryOne(now, pass)) continue;
      if (client->deadline() <= now) client->expire(now, at_client);
      if (server && server->deadline() <= now) server->expire(now, at_server);
      if (at_client.outgoing.empty() && at_server.outgoing.empty()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }
  }
  void run() {
    run([](Bytes&) { return true; });
  }

  bool bothOpen() const { return server && server->open() && client->open(); }
  bool settled() const {
    const auto done = [](const DtlsSession* session) {
      return session && session->state() != DtlsSession::State::Handshaking;
    };
    return done(client.get()) && done(server.get()) && at_client.outgoing.empty() &&
           at_server.outgoing.empty();
  }

  static std::shared_ptr<const Context> contextOf(ContextOptions options) {
    Context::Created created = Context::create(std::move(options));
    REQUIRE(std::holds_alternative<std::shared_ptr<const Context>>(created));
    return std::get<std::shared_ptr<const Context>>(created);
  }

  RecordingSink at_client, at_server;
  std::shared_ptr<const Context> server_context;
  std::unique_ptr<DtlsSession> client, server;

 private:
  PairOptions options_;
};

// A message each way, in an open pair.
inline void exchangeMessages(DtlsPair& pair) {
  const Bytes hello{'h', 'e', 'l', 'l', 'o'};
  const Milliseconds now = steadyNow();
  pair.at_client.messages.clear();
  pair.at_server.messages.clear();
  REQUIRE(pair.client->send(hello, now, pair.at_client));
  REQUIRE(pair.server->send(hello, now, pair.at_server));
  while (pair.carryOne(now, [](Bytes&) { return true; })) continue;
  CHECK(pair.at_server.messages == std::vector<Bytes>{hello});
  CHECK(pair.at_client.messages == std::vector<Bytes>{hello});
}

}  // namespace mcbn
