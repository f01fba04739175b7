#include "datagram/udp_socket.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <set>

#include "datagram/poller.h"

using namespace mcbn;

namespace {

Address loopback(uint16_t port = 0) { return *Address::parse("127.0.0.1", port); }

struct Pair {
  explicit Pair(const char* host = "127.0.0.1", uint16_t batch = 64) {
    UdpOptions options;
    options.batch = batch;
    REQUIRE_FALSE(one.open(*Address::parse(host, 0), options));
    REQUIRE_FALSE(two.open(*Address::parse(host, 0), options));
    addressOfTwo = two.localAddress();
  }

  UdpSocket one, two;
  Address addressOfTwo;
};

bool readable(const UdpSocket& socket, int timeoutMs = 2000) {
  Poller poller;
  REQUIRE_FALSE(poller.add(socket.fd(), 1));
  return !poller.wait(timeoutMs).empty();
}

}  // namespace

TEST_CASE("udp: a closed socket answers with errors, never with a crash") {
  UdpSocket socket;
  CHECK(socket.receiveBatch().status == IoStatus::Error);
  CHECK(socket.receiveBatch().error.name() == "EBADF");
  const Bytes message = {1};
  const OutgoingDatagram datagram{message, nullptr};
  CHECK(socket.sendBatch({&datagram, 1}).status == IoStatus::Error);
  CHECK(socket.connect(loopback(1)));
  CHECK_FALSE(socket.localAddress());
  CHECK(socket.recvBufferSize() == 0);
  socket.close();
  socket.close();
}

TEST_CASE("udp: groups fail as a value") {
  UdpSocket closed;
  CHECK(closed.beginGroup());
  constexpr SteeredForm kSteered[] = {{25, 11}};
  CHECK(closed.steerGroup(kSteered));
  UdpSocket alone;
  REQUIRE_FALSE(alone.open(loopback(), {}));
  CHECK(alone.steerGroup(kSteered));
}

TEST_CASE("udp: opening fails as a value") {
  UdpSocket one, two, three;
  CHECK(one.open(Address(), {}).name() == "EAFNOSUPPORT");
  CHECK_FALSE(one.isOpen());
  REQUIRE_FALSE(one.open(loopback(), {}));
  CHECK(one.open(loopback(), {}).name() == "EISCONN");
  const SystemError taken = two.open(one.localAddress(), {});
  CHECK(taken.text() == "bind EADDRINUSE");
  CHECK_FALSE(two.isOpen());
  CHECK(three.open(*Address::parse("192.0.2.1", 0), {}).name() == "EADDRNOTAVAIL");
  UdpOptions negative;
  negative.recvBufferSize = -1;
  CHECK(three.open(loopback(), negative).name() == "EINVAL");
  // After a failure it can be opened all the same, and after close() again.
  REQUIRE_FALSE(three.open(loopback(), {}));
  three.close();
  REQUIRE_FALSE(three.open(loopback(), {}));
}

TEST_CASE("udp: nothing to read is Again, not an error") {
  Pair pair;
  CHECK(pair.two.receiveBatch().status == IoStatus::Again);
  CHECK(pair.two.receiveBatch().datagrams.empty());
}

TEST_CASE("udp: batches keep order, contents, sender and boundaries, zero length included") {
  for (const char* host : {"127.0.0.1", "::1"}) {
    Pair pair(host);
    std::vector<Bytes> messages;
    std::vector<OutgoingDatagram> outgoing;
    for (size_t i = 0; i < 100; i++) messages.push_back(Bytes(i * 14, static_cast<uint8_t>(i)));
    for (const Bytes& message : messages) outgoing.push_back({message, &pair.addressOfTwo});
    const SendResult sent = pair.one.sendBatch(outgoing);
    CHECK(sent.status == IoStatus::Ok);
    CHECK(sent.sent == 100);

    size_t next = 0;
    while (next < messages.size() && readable(pair.two)) {
      const ReceiveResult result = pair.two.receiveBatch();
      REQUIRE(result.status == IoStatus::Ok);
      for (const ReceivedDatagram& received : result.datagrams) {
        const Bytes got(received.datagram.begin(), received.datagram.end());
        REQUIRE(next < messages.size());
        CHECK(got == messages[next++]);
        CHECK(received.from == pair.one.localAddress());
        CHECK_FALSE(received.truncated);
      }
    }
    CHECK(next == messages.size());
  }
}

TEST_CASE("udp: the largest datagram fits; a larger one is refused at its index") {
  Pair pair;
  const Bytes largest(65507, 9), tooLarge(65508), small(3);
  const OutgoingDatagram outgoing[] = {
      {largest, &pair.addressOfTwo}, {tooLarge, &pair.addressOfTwo}, {small, &pair.addressOfTwo}};
  SendResult sent = pair.one.sendBatch(outgoing);
  CHECK(sent.status == IoStatus::Error);
  CHECK(sent.sent == 1);
  CHECK(sent.error.name() == "EMSGSIZE");
  sent = pair.one.sendBatch(std::span(outgoing).subspan(2));
  CHECK(sent.status == IoStatus::Ok);

  std::vector<size_t> sizes;
  while (sizes.size() < 2 && readable(pair.two)) {
    for (const auto& received : pair.two.receiveBatch().datagrams) {
      sizes.push_back(received.datagram.size());
    }
  }
  CHECK(sizes == std::vector<size_t>{65507, 3});
}

TEST_CASE("udp: a connected socket hears its peer only, and ICMP errors, and lives on") {
  Pair pair;
  UdpSocket stranger;
  REQUIRE_FALSE(stranger.open(loopback(), {}));
  REQUIRE_FALSE(pair.one.connect(pair.addressOfTwo));
  CHECK(pair.one.connected());
  const Address target = pair.one.localAddress();
  const Bytes message = {1};
  const OutgoingDatagram toOne{message, &target};
  const OutgoingDatagram connected{message, nullptr};
  CHECK(stranger.sendBatch({&toOne, 1}).sent == 1);
  CHECK_FALSE(readable(pair.one, 50));

  pair.two.close();
  CHECK(pair.one.sendBatch({&connected, 1}).status == IoStatus::Ok);
  REQUIRE(readable(pair.one));
  const ReceiveResult refused = pair.one.receiveBatch();
  CHECK(refused.status == IoStatus::Error);
  CHECK(refused.error.code == ECONNREFUSED);
  CHECK(pair.one.receiveBatch().status == IoStatus::Again);

  REQUIRE_FALSE(pair.two.open(pair.addressOfTwo, {}));
  CHECK(pair.one.sendBatch({&connected, 1}).status == IoStatus::Ok);
  CHECK(readable(pair.two));
}

TEST_CASE("udp: an unconnected socket needs an address for every datagram") {
  Pair pair;
  const Bytes message = {1};
  const OutgoingDatagram nowhere{message, nullptr};
  const SendResult sent = pair.one.sendBatch({&nowhere, 1});
  CHECK(sent.status == IoStatus::Error);
  CHECK(sent.error.name() == "EDESTADDRREQ");
}

TEST_CASE("udp: reusePort lets two sockets share a port, without it none") {
  UdpOptions shared;
  shared.reusePort = true;
  UdpSocket one, two, three;
  REQUIRE_FALSE(one.open(loopback(), shared));
  CHECK_FALSE(two.open(one.localAddress(), shared));
  CHECK(three.open(one.localAddress(), {}).name() == "EADDRINUSE");
}

TEST_CASE("udp: \"::\" takes IPv4 as well unless ipv6Only") {
  for (const bool only : {false, true}) {
    UdpOptions options;
    options.ipv6Only = only;
    UdpSocket server, client;
    REQUIRE_FALSE(server.open(*Address::parse("::", 0), options));
    REQUIRE_FALSE(client.open(loopback(), {}));
    const Address target = loopback(server.localAddress().port());
    const Bytes message = {7};
    const OutgoingDatagram datagram{message, &target};
    CHECK(client.sendBatch({&datagram, 1}).status == IoStatus::Ok);
    CHECK(readable(server, only ? 50 : 2000) == !only);
    if (only) continue;
    const ReceiveResult received = server.receiveBatch();
    REQUIRE(received.datagrams.size() == 1);
    CHECK(received.datagrams[0].from.host() == "::ffff:127.0.0.1");
  }
}

TEST_CASE("udp: buffer sizes asked for are in force") {
  UdpOptions options;
  options.recvBufferSize = 65536;
  options.sendBufferSize = 32768;
  UdpSocket socket;
  REQUIRE_FALSE(socket.open(loopback(), options));
  // Linux doubles what it is asked for, to account for its own overhead.
  CHECK(socket.recvBufferSize() >= 65536);
  CHECK(socket.recvBufferSize() <= 2 * 65536);
  CHECK(socket.sendBufferSize() >= 32768);
  CHECK(socket.sendBufferSize() <= 2 * 32768);
}

TEST_CASE("udp: a batch fills no more slots than asked for") {
  Pair pair("127.0.0.1", 4);
  // Growing, so that no two can travel as one train.
  std::vector<Bytes> messages;
  for (size_t i = 1; i <= 10; i++) messages.push_back(Bytes(i, 1));
  std::vector<OutgoingDatagram> outgoing;
  for (const Bytes& message : messages) outgoing.push_back({message, &pair.addressOfTwo});
  REQUIRE(pair.one.sendBatch(outgoing).sent == 10);
  size_t total = 0;
  while (total < 10 && readable(pair.two)) {
    const size_t count = pair.two.receiveBatch().datagrams.size();
    CHECK(count <= 4);
    total += count;
  }
  CHECK(total == 10);
}

namespace {

// What two sockets received, in order, each datagram as { receiver, size, first byte }.
using Heard = std::vector<std::array<size_t, 3>>;

Heard hearAll(std::span<UdpSocket* const> sockets, size_t expected) {
  Heard heard;
  for (size_t who = 0; who < sockets.size(); who++) {
    while (heard.size() < expected && readable(*sockets[who], 200)) {
      for (const ReceivedDatagram& received : sockets[who]->receiveBatch().datagrams) {
        const ByteView bytes = received.datagram;
        heard.push_back({who, bytes.size(), bytes.empty() ? 0 : size_t{bytes[0]}});
      }
    }
  }
  return heard;
}

}  // namespace

TEST_CASE("udp: trains keep every boundary, whatever sizes follow each other") {
  // Equal sizes, a shorter end, a longer one behind it, empty ones in between, more than 64 in a
  // row.
  std::vector<size_t> sizes(130, 77);
  for (const size_t size : {77, 50, 77, 77, 0, 77, 78, 78, 12, 0, 0, 1200, 1200, 3}) {
    sizes.push_back(size);
  }
  for (const char* host : {"127.0.0.1", "::1"}) {
    Pair pair(host);
    std::vector<Bytes> messages;
    Heard expected;
    for (size_t i = 0; i < sizes.size(); i++) {
      const size_t mark = sizes[i] == 0 ? 0 : i % 251;
      messages.push_back(Bytes(sizes[i], static_cast<uint8_t>(mark)));
      expected.push_back({0, sizes[i], mark});
    }
    std::vector<OutgoingDatagram> outgoing;
    for (const Bytes& message : messages) outgoing.push_back({message, &pair.addressOfTwo});
    const SendResult sent = pair.one.sendBatch(outgoing);
    CHECK(sent.status == IoStatus::Ok);
    CHECK(sent.sent == sizes.size());
    UdpSocket* const receivers[] = {&pair.two};
    CHECK(hearAll(receivers, expected.size()) == expected);
  }
}

TEST_CASE("udp: a train never takes along a datagram for somebody else") {
  Pair pair;
  UdpSocket third;
  REQUIRE_FALSE(third.open(loopback(), {}));
  const Address addressOfThird = third.localAddress();
  const Address sameAgain = pair.addressOfTwo;  // equal, not identical
  std::vector<Bytes> messages;
  for (size_t i = 0; i < 40; i++) messages.push_back(Bytes(64, static_cast<uint8_t>(i + 1)));
  std::vector<OutgoingDatagram> outgoing;
  Heard expected;
  for (size_t i = 0; i < 40; i++) {
    const bool toThird = i % 5 == 4;
    const Address* const to = toThird ? &addressOfThird : i % 2 ? &sameAgain : &pair.addressOfTwo;
    outgoing.push_back({messages[i], to});
    expected.push_back({toThird ? size_t{1} : size_t{0}, 64, i + 1});
  }
  std::stable_sort(expected.begin(), expected.end(),
                   [](const auto& a, const auto& b) { return a[0] < b[0]; });
  CHECK(pair.one.sendBatch(outgoing).sent == 40);
  UdpSocket* const receivers[] = {&pair.two, &third};
  CHECK(hearAll(receivers, 40) == expected);
}

TEST_CASE("udp: large datagrams in a row arrive too, fragmented or not") {
  Pair pair;
  const Bytes large(60'000, 5);
  const std::vector<OutgoingDatagram> outgoing(3, {large, &pair.addressOfTwo});
  REQUIRE(pair.one.sendBatch(outgoing).sent == 3);
  UdpSocket* const receivers[] = {&pair.two};
  CHECK(hearAll(receivers, 3) == Heard(3, {0, 60'000, 5}));
}

TEST_CASE("system errors: names as Node gives them, numbers for the rest") {
  CHECK(SystemError{EADDRINUSE, "bind"}.text() == "bind EADDRINUSE");
  CHECK(SystemError{9999, "bind"}.text() == "bind errno 9999");
  CHECK_FALSE(static_cast<bool>(SystemError()));
}
