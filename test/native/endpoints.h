// endpoints.h: whole endpoints on loopback, a server's and clients', whose time is a number. Every datagram
// passes a relay of the test's, which can lose it, change it, or send it from elsewhere.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "dtls_pair.h"
#include "engine/client_endpoint.h"
#include "engine/server_endpoint.h"
#include "record/message_room.h"

namespace mcbn {

// What an endpoint's owner has heard.
struct Heard {
  std::vector<std::pair<uint32_t, OpenedEvent>> opened;  // with the session's number
  std::vector<std::pair<uint32_t, PskQuestion>> questions;
  std::vector<std::optional<Failure>> ended, refused;
  std::vector<std::string> messages, keylog;
  std::vector<AddressEvent> moved;
  std::vector<RowEvent> rows;
};

// What becomes of a datagram: those that go on in its place.
using Passing = std::function<std::vector<Bytes>(Role from, Bytes datagram)>;

struct EndpointsOptions {
  bool speaks12 = true, speaks13 = true;
  dtls13::Settings server13 = {}, client13 = {};
  DtlsOptions server = dtlsOptions(1'200, 10'000, 0), client = dtlsOptions(1'200, 10'000, 0);
  bool ask = false;
  PskHash hash = PskHash::Sha256;
  AdmissionLimits limits = {};
  UnknownIdentity unknown = UnknownIdentity::Conceal;
  Bytes client_rows = {};  // seals clients' rows for a session store; empty: there is none
};

struct Dialled {
  bool dtls13 = true;
  bool both = false;  // DTLS 1.2, too
  bool asks = false;  // for its key
  uint8_t key = 0x42;
  std::string identity = "Client1";
};

class Endpoints {
  Poller poller_;
  EventQueue events_{[] {}};
  CipherContexts ciphers_{64};
  IoServices services_{poller_, events_, ciphers_};

 public:
  static constexpr uint32_t kServer = 1;

  explicit Endpoints(EndpointsOptions options = {}) : options_(std::move(options)) {
    REQUIRE_FALSE(poller_.error());
    PskPolicy policy{.table = nullptr, .ask = options_.ask, .unknown = options_.unknown};
    table = std::make_shared<KeyTable>();
    if (!options_.ask) table->set("Client1", {testKey(), options_.hash});
    policy.table = table;
    ContextOptions serving = contextOptions(Role::Server);
    serving.psk = policy;
    serving.newer = options_.speaks13;
    ServerOptions given;
    given.local = loopback();
    given.dtls = options_.server;
    given.speaks12 = options_.speaks12;
    given.cookie_secret = Bytes(32, 7);
    given.admission = std::make_shared<Admission>(options_.limits);
    if (options_.speaks13) {
      auto settings = std::make_shared<dtls13::Settings>(options_.server13);
      settings->psk = policy;
      given.dtls13 = std::move(settings);
    }
    server = std::make_unique<ServerEndpoint>(
        kServer, services_, DtlsPair::contextOf(std::move(serving)), std::move(given));
    REQUIRE_FALSE(server->open());
    server->start();
  }

  // The number of a client that begins its handshake.
  uint32_t dial(const Dialled& how = {}) {
    const auto number = static_cast<uint32_t>(clients_.size()) + 2;
    auto& client = *clients_.emplace_back(std::make_unique<Client>());
    REQUIRE_FALSE(client.front.open(loopback(), {}));
    REQUIRE_FALSE(client.back->open(loopback(), {}));
    ClientOptions given;
    given.remote = client.front.localAddress();
    given.dtls = options_.client;
    if (how.dtls13) given.dtls13 = std::make_shared<const dtls13::Settings>(options_.client13);
    given.falls_back = how.both;
    given.row_key = options_.client_rows;
    if (!how.asks) given.key.emplace(how.identity, PskEntry{testKey(how.key), options_.hash});
    client.endpoint = std::make_unique<ClientEndpoint>(
        number, services_, DtlsPair::contextOf(contextOptions(Role::Client)), std::move(given));
    REQUIRE_FALSE(client.endpoint->open());
    client.endpoint->start(now);
    client.endpoint->flush();
    take();
    return number;
  }
  ClientEndpoint& client(uint32_t number) { return *clients_[number - 2]->endpoint; }

  // From now on the client's datagrams come from another address.
  void move(uint32_t number) {
    Client& client = *clients_[number - 2];
    client.back->close();
    REQUIRE_FALSE(client.back->open(loopback(), {}));
  }

  // The owner's event loop stands still, with as much to hear as is kept for it; and goes on.
  void blockLoop() {
    blocked_ = true;
    while (!events_.full()) events_.filling().add(EventKind::Keylog, 0, 0, std::string());
  }
  void freeLoop() {
    blocked_ = false;
    take();
    heard_[0] = {};
  }

  // Each comes from where the other was.
  void swapAddresses(uint32_t one, uint32_t other) {
    std::swap(clients_[one - 2]->back, clients_[other - 2]->back);
  }
  // A datagram more from where the client is.
  void inject(uint32_t client, ByteView datagram) {
    const Address to = server->localAddress();
    const OutgoingDatagram outgoing{datagram, &to};
    REQUIRE(clients_[client - 2]->back->sendBatch({&outgoing, 1}).sent == 1);
    to_server_ += 1;
    carry();
  }

  // The same from where the client's server is.
  void tell(uint32_t number, ByteView datagram) {
    Client& client = *clients_[number - 2];
    const Address to = client.endpoint->localAddress();
    const OutgoingDatagram outgoing{datagram, &to};
    REQUIRE(client.front.sendBatch({&outgoing, 1}).sent == 1);
    client.told += 1;
    carry();
  }
  // Nobody is there any more: what the client sends is answered by ICMP.
  void hangUp(uint32_t number) { clients_[number - 2]->front.close(); }

  // The session that the server opened last.
  uint32_t session() const { return at(kServer).opened.back().first; }

  void send(uint32_t endpoint, uint32_t session, const std::vector<std::string>& messages) {
    std::vector<Bytes> rooms;
    std::vector<MutableBytes> views;
    rooms.reserve(messages.size());
    for (const std::string& message : messages) {
      Bytes& room = rooms.emplace_back(kRoomBefore + message.size() + kRoomBehind);
      std::ranges::copy(message, room.begin() + kRoomBefore);
      views.push_back(MutableBytes(room).subspan(kRoomBefore, message.size()));
    }
    Endpoint& from = endpointOf(endpoint);
    from.send(session, views, now);
    from.flush();
  }
  void send(uint32_t client, const std::vector<std::string>& messages) {
    send(client, ClientEndpoint::kSession, messages);
  }

  // Raw, from an address where nobody else is.
  void strange(ByteView datagram) {
    if (!stranger_.isOpen()) REQUIRE_FALSE(stranger_.open(loopback(), {}));
    const Address to = server->localAddress();
    const OutgoingDatagram outgoing{datagram, &to};
    REQUIRE(stranger_.sendBatch({&outgoing, 1}).sent == 1);
    to_server_ += 1;
    carry();
  }

  // Until `done`, or nothing is under way and nothing due before `limit` milliseconds are over.
  void run(const std::function<bool()>& done, Milliseconds limit = 60'000) {
    const Milliseconds end = now + limit;
    while (carry(), !done()) {
      Milliseconds next = server->deadline();
      for (const auto& client : clients_) next = std::min(next, client->endpoint->deadline());
      if (next == kNever || next > end) return;
      now = std::max(now, next);
      if (server->deadline() <= now) server->expire(now);
      for (const auto& client : clients_) {
        if (client->endpoint->deadline() <= now) client->endpoint->expire(now);
      }
    }
  }
  void run(Milliseconds limit = 1'000) {
    run([] { return false; }, limit);
  }

  const Heard& at(uint32_t endpoint) const { return heard_[endpoint]; }
  bool opened(uint32_t client, size_t sessions = 1) const {
    return at(client).opened.size() == 1 && at(kServer).opened.size() == sessions;
  }

  Milliseconds now = 1'000'000;
  Passing passing = [](Role, Bytes datagram) { return std::vector<Bytes>{std::move(datagram)}; };
  std::shared_ptr<KeyTable> table;
  std::unique_ptr<ServerEndpoint> server;

 private:
  struct Client {
    std::unique_ptr<ClientEndpoint> endpoint;
    UdpSocket front;                                                  // the relay's, to the client
    std::unique_ptr<UdpSocket> back = std::make_unique<UdpSocket>();  // to the server
    uint64_t heard = 0, told = 0;
  };

  static Address loopback() { return *Address::parse("127.0.0.1", 0); }

  Endpoint& endpointOf(uint32_t number) {
    if (number == kServer) return *server;
    return client(number);
  }

  // Until nothing is under way: what was sent has arrived, and was answered.
  void carry() {
    using std::chrono::steady_clock;
    const auto end = steady_clock::now() + std::chrono::seconds(10);
    do {
      REQUIRE(steady_clock::now() < end);
      for (const auto& client : clients_) relay(*client);
      server->receive(now);
      server->flush();
      for (const auto& client : clients_) {
        client->endpoint->receive(now);
        client->endpoint->flush();
      }
      take();
    } while (!quiet());
  }

  bool quiet() const {
    for (const auto& client : clients_) {
      if (!client->front.isOpen()) continue;
      if (client->heard != client->endpoint->stats().datagrams_sent) return false;
      if (client->told != client->endpoint->stats().datagrams_received) return false;
    }
    return server->stats().datagrams_received == to_server_ &&
           server->stats().datagrams_sent == from_server_ + strangers_heard_;
  }

  void relay(Client& client) {
    if (!client.front.isOpen()) return;
    const Address to_server = server->localAddress();
    const Address to_client = client.endpoint->localAddress();
    for (const ReceivedDatagram& received : client.front.receiveBatch().datagrams) {
      client.heard += 1;
      for (const Bytes& bytes : passing(Role::Client, copyOf(received))) {
        const OutgoingDatagram outgoing{bytes, &to_server};
        REQUIRE(client.back->sendBatch({&outgoing, 1}).sent == 1);
        to_server_ += 1;
      }
    }
    for (const ReceivedDatagram& received : client.back->receiveBatch().datagrams) {
      from_server_ += 1;
      for (const Bytes& bytes : passing(Role::Server, copyOf(received))) {
        const OutgoingDatagram outgoing{bytes, &to_client};
        REQUIRE(client.front.sendBatch({&outgoing, 1}).sent == 1);
        client.told += 1;
      }
    }
    if (!stranger_.isOpen()) return;
    strangers_heard_ += stranger_.receiveBatch().datagrams.size();
  }

  static Bytes copyOf(const ReceivedDatagram& received) {
    return {received.datagram.begin(), received.datagram.end()};
  }

  void take() {
    if (blocked_) return;
    events_.publish();
    for (EventBatch& batch : events_.takeAll()) {
      for (const EventRow& row : batch.rows) hear(heard_[row.endpoint], batch, row);
    }
  }

  static void hear(Heard& heard, EventBatch& batch, const EventRow& row) {
    if (row.kind == EventKind::Message) {
      const ByteView message = batch.messages.view(row.a, row.b);
      heard.messages.emplace_back(message.begin(), message.end());
      return;
    }
    EventDetail none;
    EventDetail& detail = row.a == kNoDetail ? none : batch.details[row.a];
    if (auto* const opened = std::get_if<OpenedEvent>(&detail)) {
      heard.opened.emplace_back(row.session, std::move(*opened));
    } else if (auto* const asked = std::get_if<QuestionEvent>(&detail)) {
      heard.questions.emplace_back(row.session, asked->question);
    } else if (auto* const ended = std::get_if<EndedEvent>(&detail)) {
      (row.kind == EventKind::Refused ? heard.refused : heard.ended).push_back(ended->failure);
    } else if (row.kind == EventKind::Ended) {
      heard.ended.emplace_back();
    } else if (auto* const moved = std::get_if<AddressEvent>(&detail)) {
      heard.moved.push_back(*moved);
    } else if (auto* const line = std::get_if<std::string>(&detail)) {
      heard.keylog.push_back(*line);
    } else if (auto* const kept = std::get_if<RowEvent>(&detail)) {
      heard.rows.push_back(std::move(*kept));
    }
  }

  const EndpointsOptions options_;
  std::vector<std::unique_ptr<Client>> clients_;
  UdpSocket stranger_;
  bool blocked_ = false;
  uint64_t to_server_ = 0, from_server_ = 0, strangers_heard_ = 0;
  mutable std::map<uint32_t, Heard> heard_;
};

}  // namespace mcbn
