// The I/O thread with real sockets on loopback: started, used from another thread, stopped. For
// TSan above all.
#include "engine/io_thread.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "dtls_pair.h"
#include "engine/client_endpoint.h"
#include "engine/server_endpoint.h"

using namespace mcbn;

namespace {

constexpr uint32_t kServer = 1, kClient = 2;

struct Heard {
  unsigned opened = 0, ended = 0, progress = 0;
  size_t messages = 0;
  uint32_t server_session = 0;
};

// A server and a client on one thread, events taken on the test's.
struct Loopback {
  Loopback() : io([this] { woken = true; }) {}

  bool start() {
    if (io.start()) return false;
    auto table = std::make_shared<KeyTable>();
    table->set("Client1", {testKey()});
    ContextOptions serving = contextOptions(Role::Server);
    serving.psk = {.table = table};
    ServerOptions options;
    options.local = *Address::parse("127.0.0.1", 0);
    auto server = std::make_unique<ServerEndpoint>(
        kServer, io.services(), DtlsPair::contextOf(std::move(serving)), options);
    if (server->open()) return false;
    address = server->localAddress();
    io.call([&](IoThread& self) {
      server->start();
      self.add(std::move(server));
    });
    return true;
  }

  void connect(uint32_t id = kClient) {
    ClientOptions options;
    options.remote = address;
    options.key.emplace("Client1", PskEntry{testKey()});
    auto client = std::make_unique<ClientEndpoint>(
        id, io.services(), DtlsPair::contextOf(contextOptions(Role::Client)), std::move(options));
    REQUIRE(!client->open());
    io.call([&](IoThread& self) {
      ClientEndpoint& added = *client;
      self.add(std::move(client));
      added.start(self.now());
      self.touched(added);
    });
  }

  // Takes events until `done`, at most ten seconds.
  template <typename Done>
  bool until(Done&& done) {
    const Milliseconds end = steadyNow() + 10'000;
    while (!done()) {
      if (steadyNow() > end) return false;
      if (!woken.exchange(false)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      for (const EventBatch& batch : io.events().takeAll()) {
        for (const EventRow& row : batch.rows) {
          heard.opened += row.kind == EventKind::Opened;
          heard.ended += row.kind == EventKind::Ended;
          heard.progress += row.kind == EventKind::Progress;
          heard.messages += row.kind == EventKind::Message;
          if (row.kind == EventKind::Opened && row.endpoint == kServer) {
            heard.server_session = row.session;
          }
        }
      }
    }
    return true;
  }

  Bytes rows(uint32_t endpoint, uint32_t session, unsigned count) {
    Bytes out;
    const auto number = [&](uint32_t value) {
      for (int shift = 0; shift < 32; shift += 8)
        out.push_back(static_cast<uint8_t>(value >> shift));
    };
    for (unsigned i = 0; i < count; ++i) {
      number(endpoint);
      number(session);
      number(5);
      for (const char c : std::string("hello")) out.push_back(static_cast<uint8_t>(c));
    }
    return out;
  }

  std::atomic<bool> woken = false;
  IoThread io;
  Address address;
  Heard heard;
};

}  // namespace

TEST_CASE("io thread: starts and stops, with work waiting or not, more than once") {
  for (unsigned round = 0; round < 50; ++round) {
    IoThread io([] {});
    REQUIRE(!io.start());
    std::atomic<unsigned> ran = 0;
    for (unsigned i = 0; i < round; ++i) io.post([&](IoThread&) { ran += 1; });
    if (round % 3 == 0) {
      io.call([&](IoThread&) { ran += 1; });
      CHECK(ran == round + 1);
    }
    io.stop();
    io.stop();
    io.call([&](IoThread&) { FAIL("ran after stop()"); });
    io.submit(Bytes(3));
  }
}

TEST_CASE("io thread: handshakes, messages and progress between two endpoints") {
  Loopback loop;
  REQUIRE(loop.start());
  loop.connect();
  REQUIRE(loop.until([&] { return loop.heard.opened == 2; }));
  uint32_t last = 0;
  for (unsigned i = 0; i < 20; ++i) {
    last = loop.io.submit(loop.rows(kClient, ClientEndpoint::kSession, 5));
    loop.io.submit(loop.rows(kServer, loop.heard.server_session, 5));
  }
  loop.io.notifyAt(last);
  CHECK(loop.until([&] { return loop.heard.messages == 200 && loop.heard.progress > 0; }));
  CHECK(loop.io.progress() >= last);
}

TEST_CASE("io thread: rows that lie about their length or their endpoint are passed over") {
  Loopback loop;
  REQUIRE(loop.start());
  loop.connect();
  REQUIRE(loop.until([&] { return loop.heard.opened == 2; }));
  Bytes lying = loop.rows(kClient, ClientEndpoint::kSession, 1);
  lying[8] = 200;
  loop.io.submit(lying);
  loop.io.submit(Bytes(11, 0xff));
  loop.io.submit({});
  loop.io.submit(loop.rows(99, 1, 3));
  loop.io.submit(loop.rows(kClient, 99, 3));
  const uint32_t last = loop.io.submit(loop.rows(kClient, ClientEndpoint::kSession, 1));
  CHECK(loop.until([&] { return loop.heard.messages == 1; }));
  CHECK(loop.until([&] { return loop.io.progress() >= last; }));
}

TEST_CASE("io thread: endpoints may go while messages for them wait") {
  Loopback loop;
  REQUIRE(loop.start());
  for (uint32_t id = 10; id < 30; ++id) loop.connect(id);
  REQUIRE(loop.until([&] { return loop.heard.opened == 40; }));
  for (uint32_t id = 10; id < 30; ++id) {
    loop.io.submit(loop.rows(id, ClientEndpoint::kSession, 50));
    loop.io.call([&](IoThread& self) {
      self.sendEverything();
      Endpoint* const endpoint = self.endpoint(id);
      endpoint->closeAll();
      endpoint->flush();
      self.remove(id);
    });
    loop.io.submit(loop.rows(id, ClientEndpoint::kSession, 50));
  }
  CHECK(loop.until([&] { return loop.heard.ended == 20; }));
}

TEST_CASE("io thread: stops in the middle of traffic") {
  for (unsigned round = 0; round < 10; ++round) {
    Loopback loop;
    REQUIRE(loop.start());
    loop.connect();
    if (round > 2) REQUIRE(loop.until([&] { return loop.heard.opened == 2; }));
    for (unsigned i = 0; i < 50; ++i) {
      loop.io.submit(loop.rows(kClient, ClientEndpoint::kSession, 20));
    }
    loop.io.stop();
  }
}
