// One server on several I/O threads with real sockets on loopback: spread, limits and evictions
// across threads. For TSan above all.
#include <doctest/doctest.h>

#include <memory>
#include <optional>

#include "dtls_pair.h"
#include "engine/client_endpoint.h"
#include "engine/io_thread.h"
#include "engine/server_endpoint.h"

#ifdef __linux__

using namespace mcbn;

namespace {

constexpr uint32_t kServer = 1;

struct Counts {
  size_t opened = 0, ended = 0, refused = 0, messages = 0;
};

void count(IoThread& io, Counts& counts) {
  for (const EventBatch& batch : io.events().takeAll()) {
    for (const EventRow& row : batch.rows) {
      counts.opened += row.kind == EventKind::Opened;
      counts.ended += row.kind == EventKind::Ended;
      counts.refused += row.kind == EventKind::Refused;
      counts.messages += row.kind == EventKind::Message;
    }
  }
}

struct ManyThreads {
  ManyThreads(size_t threads, AdmissionLimits limits)
      : admission(std::make_shared<Admission>(limits)), served(threads) {
    auto table = std::make_shared<KeyTable>();
    table->set("Client1", {testKey()});
    ContextOptions serving = contextOptions(Role::Server);
    serving.psk = {.table = table};
    const auto context = DtlsPair::contextOf(std::move(serving));
    REQUIRE(!clients.start());
    for (size_t i = 0; i < threads; ++i) {
      IoThread& io = *ios.emplace_back(std::make_unique<IoThread>([] {}));
      REQUIRE(!io.start());
      ServerOptions options;
      options.local = i == 0 ? *Address::parse("127.0.0.1", 0) : address;
      options.threads = threads;
      options.thread_index = i;
      options.cookie_secret = Bytes(32, 7);
      options.admission = admission;
      options.evict_soon = [&io] {
        io.post([](IoThread& self) {
          auto* const found = static_cast<ServerEndpoint*>(self.endpoint(kServer));
          if (!found) return;
          found->evict(self.now());
          self.touched(*found);
        });
      };
      auto server =
          std::make_unique<ServerEndpoint>(kServer, io.services(), context, std::move(options));
      REQUIRE(!server->open());
      if (i == 0) REQUIRE(server->balanced());
      address = server->localAddress();
      io.call([&](IoThread& self) { self.add(std::move(server)); });
    }
    for (const auto& io : ios) {
      io->call(
          [](IoThread& self) { static_cast<ServerEndpoint*>(self.endpoint(kServer))->start(); });
    }
  }

  void connect(uint32_t id, uint8_t key = 0x42) {
    ClientOptions options;
    options.remote = address;
    options.dtls.retransmit_timeout = 50;
    options.key.emplace("Client1", PskEntry{testKey(key)});
    auto client = std::make_unique<ClientEndpoint>(
        id, clients.services(), DtlsPair::contextOf(contextOptions(Role::Client)),
        std::move(options));
    REQUIRE(!client->open());
    clients.call([&](IoThread& self) {
      ClientEndpoint& added = *client;
      self.add(std::move(client));
      added.start(self.now());
      self.touched(added);
    });
  }

  template <typename Done>
  bool until(Done&& done) {
    const Milliseconds end = steadyNow() + 20'000;
    while (!done()) {
      if (steadyNow() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      count(clients, client);
      for (size_t i = 0; i < ios.size(); ++i) count(*ios[i], served[i]);
    }
    return true;
  }

  size_t total(size_t Counts::*member) const {
    size_t sum = 0;
    for (const Counts& each : served) sum += each.*member;
    return sum;
  }

  std::shared_ptr<Admission> admission;
  Address address;
  IoThread clients{[] {}};
  std::vector<std::unique_ptr<IoThread>> ios;
  Counts client;
  std::vector<Counts> served;
};

}  // namespace

TEST_CASE("several threads: clients are spread over all that share the address") {
  ManyThreads server(2, {});
  constexpr uint32_t kClients = 40;
  for (uint32_t id = 1; id <= kClients; ++id) server.connect(id);
  REQUIRE(server.until([&] { return server.client.opened == kClients; }));
  REQUIRE(server.until([&] { return server.total(&Counts::opened) == kClients; }));
  for (const Counts& each : server.served) CHECK(each.opened > 0);
}

TEST_CASE("several threads: newcomers displace sessions of every thread, and the limit holds") {
  constexpr uint32_t kClients = 60, kSessions = 8;
  ManyThreads server(3, {.max_sessions = kSessions, .evict_after = 1});
  for (uint32_t id = 1; id <= kClients; ++id) {
    server.connect(id);
    REQUIRE(server.until([&] { return server.client.opened >= id; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  CHECK(server.until([&] { return server.total(&Counts::ended) == kClients - kSessions; }));
  CHECK(server.until([&] { return server.client.ended == kClients - kSessions; }));
  for (const Counts& each : server.served) CHECK(each.ended > 0);
}

TEST_CASE("several threads: many newcomers at once, and threads that stop in the middle") {
  for (unsigned round = 0; round < 5; ++round) {
    ManyThreads server(3, {.max_sessions = 4, .evict_after = 1});
    for (uint32_t id = 1; id <= 30; ++id) server.connect(id);
    server.until([&] { return server.client.opened >= 6 * round; });
    server.ios[round % 3]->stop();
  }
}

TEST_CASE("several threads: clients with a wrong key displace nobody") {
  ManyThreads server(2, {.max_sessions = 4, .evict_after = 1});
  for (uint32_t id = 1; id <= 4; ++id) server.connect(id);
  REQUIRE(server.until([&] { return server.total(&Counts::opened) == 4; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  for (uint32_t id = 5; id <= 20; ++id) server.connect(id, 0x43);
  REQUIRE(server.until([&] { return server.total(&Counts::refused) == 16; }));
  CHECK(server.total(&Counts::ended) == 0);
}

#endif
