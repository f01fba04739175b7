#include "datagram/poller.h"

#include <doctest/doctest.h>

#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

#include "datagram/udp_socket.h"

using namespace mcbn;

namespace {

using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Socket {
  Socket() { REQUIRE_FALSE(socket.open(*Address::parse("127.0.0.1", 0), {})); }
  UdpSocket socket;
};

}  // namespace

TEST_CASE("poller: wrong descriptors and repeated ones are errors") {
  Poller poller;
  REQUIRE_FALSE(poller.error());
  Socket one;
  CHECK(poller.add(-1, 1));
  CHECK(poller.setWritable(one.socket.fd(), true).name() == "ENOENT");
  CHECK(poller.remove(one.socket.fd()).name() == "ENOENT");
  CHECK_FALSE(poller.add(one.socket.fd(), 1));
  CHECK(poller.add(one.socket.fd(), 1).name() == "EEXIST");
  CHECK_FALSE(poller.remove(one.socket.fd()));
  CHECK_FALSE(poller.add(one.socket.fd(), 1));
}

TEST_CASE("poller: waits as long as it is told when nothing happens") {
  Poller poller;
  Socket one;
  REQUIRE_FALSE(poller.add(one.socket.fd(), 1));
  CHECK(poller.wait(0).empty());
  const auto start = Clock::now();
  CHECK(poller.wait(60).empty());
  CHECK(secondsSince(start) >= 0.055);
}

TEST_CASE("poller: tells by token who is readable, again until it is read, and who is writable") {
  Poller poller;
  Socket one, two;
  const uint64_t kOne = 0xFFFFFFFFFFFFFFFF, kTwo = 2;
  REQUIRE_FALSE(poller.add(one.socket.fd(), kOne));
  REQUIRE_FALSE(poller.add(two.socket.fd(), kTwo));
  const Address target = one.socket.localAddress();
  const Bytes message = {1};
  const OutgoingDatagram datagram{message, &target};
  REQUIRE(two.socket.sendBatch({&datagram, 1}).sent == 1);
  for (int i = 0; i < 2; i++) {
    const auto events = poller.wait(2000);
    REQUIRE(events.size() == 1);
    CHECK(events[0].token == kOne);
    CHECK(events[0].readable);
    CHECK_FALSE(events[0].writable);
    CHECK_FALSE(events[0].error);
  }
  CHECK(one.socket.receiveBatch().datagrams.size() == 1);
  CHECK(poller.wait(0).empty());

  REQUIRE_FALSE(poller.setWritable(two.socket.fd(), true));
  const auto events = poller.wait(2000);
  REQUIRE(events.size() == 1);
  CHECK(events[0].token == kTwo);
  CHECK(events[0].writable);
  REQUIRE_FALSE(poller.setWritable(two.socket.fd(), false));
  CHECK(poller.wait(0).empty());

  REQUIRE(two.socket.sendBatch({&datagram, 1}).sent == 1);
  REQUIRE_FALSE(poller.remove(one.socket.fd()));
  CHECK(poller.wait(20).empty());
}

TEST_CASE("wake-up: rings before, during and after a wait; many rings are one") {
  Poller poller;
  WakeUp wakeUp;
  REQUIRE_FALSE(wakeUp.error());
  REQUIRE_FALSE(poller.add(wakeUp.fd(), 7));
  for (int i = 0; i < 1000; i++) wakeUp.ring();
  REQUIRE(poller.wait(2000).size() == 1);
  wakeUp.drain();
  CHECK(poller.wait(0).empty());
  wakeUp.drain();  // without a ring: nothing
  CHECK(poller.wait(0).empty());

  std::thread ringer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    wakeUp.ring();
  });
  const auto start = Clock::now();
  const auto events = poller.wait(10'000);
  CHECK(secondsSince(start) < 5);
  REQUIRE(events.size() == 1);
  CHECK(events[0].token == 7);
  ringer.join();
}

TEST_CASE("wake-up: no push is ever slept through") {
  constexpr int kProducers = 3, kPushes = 20'000;
  Poller poller;
  WakeUp wakeUp;
  REQUIRE_FALSE(poller.add(wakeUp.fd(), 1));
  std::mutex mutex;
  std::vector<int> queue;
  std::vector<std::thread> producers;
  for (int producer = 0; producer < kProducers; producer++) {
    producers.emplace_back([&] {
      for (int i = 0; i < kPushes; i++) {
        {
          std::lock_guard lock(mutex);
          queue.push_back(i);
        }
        wakeUp.ring();
      }
    });
  }
  int taken = 0;
  bool sleptThrough = false;
  while (taken < kProducers * kPushes && !sleptThrough) {
    sleptThrough = poller.wait(5000).empty();
    wakeUp.drain();
    std::lock_guard lock(mutex);
    taken += static_cast<int>(queue.size());
    queue.clear();
  }
  for (std::thread& producer : producers) producer.join();
  CHECK_FALSE(sleptThrough);
  CHECK(taken == kProducers * kPushes);
}
