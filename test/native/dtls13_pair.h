// dtls13_pair.h: a client's and a server's Dtls13Session joined by a network in memory whose time is
// a number, with the cookie exchange that the server's endpoint makes. For tests and fuzzers.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dtls13/cookie_exchange.h"
#include "dtls13/dtls13_session.h"
#include "recording_sink.h"
#include "wire.h"

namespace mcbn::dtls13 {

using Side = Role;  // who sent a datagram

struct Pair13Options {
  std::vector<const Suite*> suites = Settings().suites;
  std::vector<Group> client_groups = Settings().groups, server_groups = Settings().groups;
  uint8_t client_modes = kPskDheKe, server_modes = kPskDheKe;
  PskHash hash = PskHash::Sha256;
  uint8_t client_key = 0x42;
  std::string identity = "Client1";
  std::vector<std::string> other_identities = {};  // offered after it
  PskOrigin client_origin = PskOrigin::External, server_origin = PskOrigin::External;
  bool ask = false;          // the server asks instead of having a table
  bool client_asks = false;  // the client has no key at first
  UnknownIdentity unknown = UnknownIdentity::Conceal;
  DtlsOptions dtls = dtlsOptions(1'200, 10'000, 0);
  std::optional<Bytes> client_id = {}, server_id = {};
  bool cookies = true;  // else the first hello begins a session
  Milliseconds key_update_interval = 0;
};

// What becomes of a datagram: the delays under which it arrives, in milliseconds; none: it is lost.
using Fate = std::function<std::vector<Milliseconds>(Side from, Bytes& datagram)>;

class Pair13 {
 public:
  explicit Pair13(const Pair13Options& options = {})
      : options_(options),
        server_settings(settingsOf(Role::Server)),
        cookies(server_settings, wire::text("a secret of thirty-two bytes, or")) {
    client = std::make_unique<Dtls13Session>(Role::Client, settingsOf(Role::Client), options.dtls);
    if (options.client_id) client->useConnectionId(*options.client_id);
  }

  void connect() {
    std::optional<std::pair<Identity, PskEntry>> key;
    if (!options_.client_asks) {
      key.emplace(options_.identity, clientKey());
    }
    std::vector<ClientKey> others;
    for (const std::string& identity : options_.other_identities) {
      others.push_back({identity, clientKey()});
    }
    client->connect(std::move(key), now, at_client, std::move(others));
    collect();
  }

  // Until `done`, or nothing is under way and nothing due before `limit`.
  void run(const std::function<bool()>& done, Milliseconds limit = 60'000) {
    collect();
    while (!done() && step(limit)) continue;
  }
  void run(Milliseconds limit = 60'000) {
    run([this] { return settled(); }, limit);
  }
  // Until nothing is under way, whatever the sessions still wait for.
  void drain() {
    collect();
    while (!under_way_.empty()) step(kNever);
  }
  // One thing happens; false: nothing before `limit`.
  bool step(Milliseconds limit) {
    const Milliseconds arrival = under_way_.empty() ? kNever : under_way_.front().at;
    const Milliseconds due = std::min(client->deadline(), server ? server->deadline() : kNever);
    const Milliseconds next = std::min(arrival, due);
    if (next == kNever || next > limit) return false;
    now = std::max(now, next);
    if (arrival <= due) {
      Datagram datagram = std::move(under_way_.front());
      under_way_.erase(under_way_.begin());
      deliver(datagram.from, datagram.bytes);
    } else {
      if (client->deadline() <= now) client->expire(now, at_client);
      if (server && server->deadline() <= now) server->expire(now, at_server);
    }
    collect();
    return true;
  }

  // What an endpoint does with a datagram.
  void deliver(Side from, Bytes bytes) {
    if (from == Side::Server) return client->receive(bytes, now, at_client);
    const ByteView address = client_address;
    if (options_.cookies) {
      switch (cookies.take(address, bytes, 1'000'000 + now / 1'000)) {
        case CookieExchange::Verdict::Answer:
          at_server.datagram(cookies.answer());
          return;
        case CookieExchange::Verdict::Verified:
          if (server && server->state() != Dtls13Session::State::Ended) break;
          return accept(cookies.hello());
        case CookieExchange::Verdict::Partial:
          return;
        default:
          break;
      }
    } else if (!server) {
      const auto record = nextRecordOf(bytes);
      Reader reader(record);
      const auto fragment = nextFragment(reader);
      MCBN_ASSERT(fragment && fragment->whole());
      VerifiedHello hello;
      hello.body = fragment->body;
      hello.message_sequence = fragment->messageSequence;
      return accept(hello);
    }
    if (server) server->receive(bytes, now, at_server);
  }

  bool bothOpen() const { return client->open() && server && server->open(); }
  bool settled() const {
    const auto done = [](const Dtls13Session* session) {
      return session && session->state() != Dtls13Session::State::Handshaking;
    };
    return done(client.get()) && done(server.get()) && under_way_.empty();
  }
  // The code that the side ended with; empty: it has not ended, or without a failure.
  static std::string codeOf(const RecordingSink& sink) {
    if (sink.endings.empty() || !sink.endings[0]) return {};
    return sink.endings[0]->code;
  }

  static ByteView nextRecordOf(ByteView datagram) {
    const auto record = nextRecord(datagram);
    MCBN_ASSERT(record);
    return record->fragment;
  }

 private:
  struct Datagram {
    Milliseconds at;
    Side from;
    Bytes bytes;
  };

  PskEntry clientKey() const {
    return {testKey(options_.client_key), options_.hash, options_.client_origin};
  }

  std::shared_ptr<const Settings> settingsOf(Role role) const {
    auto settings = std::make_shared<Settings>();
    const bool serving = role == Role::Server;
    settings->suites = options_.suites;
    settings->groups = serving ? options_.server_groups : options_.client_groups;
    settings->modes = serving ? options_.server_modes : options_.client_modes;
    settings->key_update_interval = options_.key_update_interval;
    settings->psk.ask = options_.ask;
    settings->psk.unknown = options_.unknown;
    if (!options_.ask) {
      auto table = std::make_shared<KeyTable>();
      table->set("Client1", {testKey(), options_.hash, options_.server_origin});
      settings->psk.table = table;
    }
    return settings;
  }

  void accept(const VerifiedHello& hello) {
    server = std::make_unique<Dtls13Session>(Role::Server, server_settings, options_.dtls);
    accepted += 1;
    if (options_.server_id) server->useConnectionId(*options_.server_id);
    server->accept(hello, now, at_server);
  }

  void collect() {
    for (RecordingSink* sink : {&at_client, &at_server}) {
      const Side from = sink == &at_client ? Side::Client : Side::Server;
      for (; !sink->outgoing.empty(); sink->outgoing.pop_front()) {
        Bytes bytes = sink->outgoing.front();
        MCBN_ASSERT(bytes.size() <= options_.dtls.mtu);
        for (const Milliseconds delay : fate(from, bytes)) {
          const Milliseconds at = now + latency + delay;
          const auto later = std::ranges::find_if(
              under_way_, [&](const Datagram& other) { return other.at > at; });
          under_way_.insert(later, {at, from, bytes});
        }
      }
    }
  }

  Pair13Options options_;
  std::vector<Datagram> under_way_;  // in order of arrival

 public:
  std::shared_ptr<const Settings> server_settings;
  CookieExchange cookies;
  Bytes client_address = wire::text("192.0.2.1:4711");
  Milliseconds now = 1'000, latency = 10;
  Fate fate = [](Side, Bytes&) { return std::vector<Milliseconds>{0}; };
  RecordingSink at_client, at_server;
  std::unique_ptr<Dtls13Session> client, server;
  unsigned accepted = 0;  // sessions that the server began
};

}  // namespace mcbn::dtls13
