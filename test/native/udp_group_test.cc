// Several sockets on one address, where the system balances: Linux.
#ifdef __linux__

#include <doctest/doctest.h>

#include <array>

#include "datagram/udp_socket.h"

using namespace mcbn;

namespace {

Address loopback() { return *Address::parse("127.0.0.1", 0); }

// Those of records with connection IDs, of DTLS 1.2 and 1.3.
constexpr SteeredForm kSteered[] = {{25, 11}, {0x30, 1, 0xf0}};

}  // namespace

TEST_CASE("udp: sockets of a group share an address that nobody else has") {
  constexpr size_t kSockets = 4;
  std::array<UdpSocket, kSockets> group;
  REQUIRE_FALSE(group[0].open(loopback(), {}));
  const Address address = group[0].localAddress();
  UdpOptions joining;
  joining.reusePort = true;
  // Not begun: nobody joins.
  CHECK(group[1].open(address, joining).text() == "bind EADDRINUSE");
  REQUIRE_FALSE(group[0].beginGroup());
  for (size_t i = 1; i < kSockets; ++i) REQUIRE_FALSE(group[i].open(address, joining));
  UdpSocket other;
  CHECK(other.open(address, {}).text() == "bind EADDRINUSE");
  REQUIRE_FALSE(group[kSockets - 1].steerGroup(kSteered));

  const auto receivers = [&] {
    std::array<size_t, kSockets> counts{};
    for (size_t i = 0; i < kSockets; ++i) {
      const ReceiveResult result = group[i].receiveBatch();
      counts[i] = result.datagrams.size();
    }
    return counts;
  };
  // By the address: one sender's all at one socket, many senders' at more than one.
  constexpr size_t kSenders = 64;
  std::array<UdpSocket, kSenders> senders;
  const Bytes plain(20, 23);
  const auto send = [&](UdpSocket& from, const Bytes& datagram) {
    const OutgoingDatagram outgoing{datagram, nullptr};
    REQUIRE(from.sendBatch({&outgoing, 1}).sent == 1);
  };
  size_t served = 0;
  for (UdpSocket& sender : senders) {
    REQUIRE_FALSE(sender.open(loopback(), {}));
    REQUIRE_FALSE(sender.connect(address));
    send(sender, plain);
  }
  for (const size_t count : receivers()) served += count > 0;
  CHECK(served > 1);

  // By the byte at 11, wherever they come from; not when it names nobody, or is not there.
  for (uint8_t index = 0; index < kSockets; ++index) {
    Bytes steered(20, 0);
    steered[0] = 25;
    steered[11] = index;
    for (UdpSocket& sender : senders) send(sender, steered);
    const auto counts = receivers();
    for (size_t i = 0; i < kSockets; ++i) CHECK(counts[i] == (i == index ? kSenders : 0));
  }
  // The other form: of its first byte only some bits count, and its index comes sooner.
  for (const uint8_t first : {0x30, 0x3f, 0x2f}) {
    Bytes steered(20, 0);
    steered[0] = first;
    steered[1] = 1;
    for (UdpSocket& sender : senders) send(sender, steered);
    CHECK((receivers()[1] == kSenders) == (first != 0x2f));
  }
  // By some of its bits only.
  REQUIRE_FALSE(group[kSockets - 1].steerGroup(kSteered, 0x1f));
  Bytes masked(20, 0);
  masked[0] = 25;
  masked[11] = 0xe0 | 2;
  for (UdpSocket& sender : senders) send(sender, masked);
  CHECK(receivers()[2] == kSenders);
  Bytes nobody(20, 0);
  nobody[0] = 25;
  nobody[11] = kSockets;
  for (const Bytes& hashed : {nobody, Bytes(11, 25), Bytes(1, 25)}) {
    for (UdpSocket& sender : senders) send(sender, hashed);
    size_t total = 0, shares = 0;
    for (const size_t count : receivers()) {
      total += count;
      shares += count > 0;
    }
    CHECK(total == kSenders);
    CHECK(shares > 1);
  }
}

#endif
