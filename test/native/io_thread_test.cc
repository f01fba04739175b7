// The I/O thread with real sockets on loopback: started, used from another thread, stopped. For
// TSan above all.
#include "engine/io_thread.h"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
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
      take();
    }
    return true;
  }

  void take() {
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

  Bytes rows(uint32_t endpoint, uint32_t session, unsigned count) {
    Bytes out;
    for (unsigned i = 0; i < count; ++i) {
      const uint32_t header[] = {endpoint, session, 5};
      const size_t at = out.size();
      out.resize((at + kRoomBefore + 5 + kRoomBehind + 3) / 4 * 4);
      std::memcpy(&out[at + kRoomBefore - sizeof header], header, sizeof header);
      std::memcpy(&out[at + kRoomBefore], "hello", 5);
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
    io.submitCopy(Bytes(3));
  }
}

#ifdef MCBN_ASSERTS
TEST_CASE("io thread: what needs the engine ends a process that has not taken it") {
  IoThread io([] {});
  REQUIRE(!io.start());
  io.call([](IoThread& self) { CHECK(self.endpoint(1) == nullptr); });
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    close(STDERR_FILENO);
    (void)io.endpoint(1);
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGABRT);
}
#endif

TEST_CASE("io thread: handshakes, messages and progress between two endpoints") {
  Loopback loop;
  REQUIRE(loop.start());
  loop.connect();
  REQUIRE(loop.until([&] { return loop.heard.opened == 2; }));
  uint32_t last = 0;
  std::vector<Bytes> frames;
  for (unsigned i = 0; i < 20; ++i) {
    // Few are sent by the caller's thread when the other one sleeps, many never.
    frames.push_back(loop.rows(kClient, ClientEndpoint::kSession, i % 2 == 0 ? 5 : 95));
    last = loop.io.submit(frames.back());
    loop.io.submitCopy(loop.rows(kServer, loop.heard.server_session, 5));
  }
  loop.io.notifyAt(kClient, last);
  CHECK(loop.until([&] { return loop.heard.messages == 1'100 && loop.heard.progress > 0; }));
  CHECK(loop.io.progress(kClient) >= last);
  CHECK(loop.io.released() >= last);
}

TEST_CASE("io thread: rows that lie about their length or their endpoint are passed over") {
  Loopback loop;
  REQUIRE(loop.start());
  loop.connect();
  REQUIRE(loop.until([&] { return loop.heard.opened == 2; }));
  Bytes lying = loop.rows(kClient, ClientEndpoint::kSession, 1);
  lying[kRoomBefore - 4] = 200;
  loop.io.submitCopy(lying);
  loop.io.submitCopy(Bytes(11, 0xff));
  loop.io.submitCopy({});
  loop.io.submitCopy(loop.rows(99, 1, 3));
  loop.io.submitCopy(loop.rows(kClient, 99, 3));
  const uint32_t last = loop.io.submitCopy(loop.rows(kClient, ClientEndpoint::kSession, 1));
  CHECK(loop.until([&] { return loop.heard.messages == 1; }));
  CHECK(loop.until([&] { return loop.io.progress(kClient) >= last; }));
}

TEST_CASE("io thread: endpoints may go while messages for them wait") {
  Loopback loop;
  REQUIRE(loop.start());
  for (uint32_t id = 10; id < 30; ++id) loop.connect(id);
  REQUIRE(loop.until([&] { return loop.heard.opened == 40; }));
  for (uint32_t id = 10; id < 30; ++id) {
    loop.io.submitCopy(loop.rows(id, ClientEndpoint::kSession, 50));
    loop.io.call([&](IoThread& self) {
      Endpoint* const endpoint = self.endpoint(id);
      self.sendEverything(*endpoint);
      endpoint->closeAll();
      endpoint->flush();
      self.remove(id);
    });
    loop.io.submitCopy(loop.rows(id, ClientEndpoint::kSession, 50));
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
      loop.io.submitCopy(loop.rows(kClient, ClientEndpoint::kSession, 20));
    }
    loop.io.stop();
  }
}

TEST_CASE("io thread: another thread may take its place while little is on its way") {
  Loopback loop;
  if (loop.io.attendableFd() < 0) return;  // no epoll here
  REQUIRE(loop.start());
  loop.connect();
  REQUIRE(loop.until([&] { return loop.heard.opened == 2; }));

  // One message at a time, until it is worth while.
  size_t sent = 0;
  const auto sendOne = [&] {
    loop.io.submitCopy(loop.rows(kClient, ClientEndpoint::kSession, 1));
    sent += 1;
  };
  bool attends = false;
  while (!attends && sent < 10'000) {
    sendOne();
    REQUIRE(loop.until([&] { return loop.heard.messages == sent; }));
    attends = loop.io.attend();
  }
  REQUIRE(attends);

  const auto visitUntil = [&](size_t messages) {
    const Milliseconds end = steadyNow() + 10'000;
    while (loop.heard.messages < messages && steadyNow() < end) {
      pollfd waiting{loop.io.attendableFd(), POLLIN, 0};
      if (attends && poll(&waiting, 1, 1) == 1) attends = loop.io.visit();
      loop.take();
      if (!attends) attends = loop.io.attend();
    }
    return loop.heard.messages == messages;
  };
  for (unsigned i = 0; i < 2'000; ++i) {
    sendOne();
    REQUIRE(visitUntil(sent));
  }

  // The attending thread does not come: the other takes it.
  sendOne();
  CHECK(loop.until([&] { return loop.heard.messages == sent; }));
  // Silence, a flood, an end: nothing is lost on the way back.
  std::this_thread::sleep_for(std::chrono::milliseconds(120));
  loop.io.submitCopy(loop.rows(kClient, ClientEndpoint::kSession, 500));
  sent += 500;
  CHECK(visitUntil(sent));
}
