#include "datagram/address.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <set>

using namespace mcbn;

namespace {

Bytes bytesOf(const AddressBytes& bytes) { return Bytes(bytes.view().begin(), bytes.view().end()); }

}  // namespace

TEST_CASE("address: what is no literal is refused") {
  using namespace std::literals;
  for (const std::string_view literal :
       {""sv, "localhost"sv, "127.0.0.1 "sv, "127.0.0.256"sv, "127.1"sv, "1.2.3.4%lo"sv, "::1::"sv,
        "[::1]"sv, "fe80::1%"sv, "fe80::1%no-such-interface"sv, "127.0.0.1\0"sv, "::1\0x"sv}) {
    CHECK_MESSAGE(!Address::parse(literal, 1), std::string(literal));
  }
}

TEST_CASE("address: from the kernel only what is whole") {
  sockaddr_in6 native{};
  native.sin6_family = AF_INET6;
  const auto* any = reinterpret_cast<const sockaddr*>(&native);
  CHECK(Address::from(any, sizeof(native)));
  CHECK_FALSE(Address::from(any, sizeof(native) - 1));
  CHECK_FALSE(Address::from(any, 1));
  CHECK_FALSE(Address::from(nullptr, 0));
  native.sin6_family = AF_UNIX;
  CHECK_FALSE(Address::from(any, sizeof(native)));
}

TEST_CASE("address: text, host and port") {
  const auto ipv4 = Address::parse("127.0.0.1", 8081);
  REQUIRE(ipv4);
  CHECK(ipv4->text() == "127.0.0.1:8081");
  CHECK(ipv4->host() == "127.0.0.1");
  CHECK(ipv4->port() == 8081);
  const auto ipv6 = Address::parse("::1", 65535);
  REQUIRE(ipv6);
  CHECK(ipv6->text() == "[::1]:65535");
  CHECK(ipv6->port() == 65535);
  const auto scoped = Address::parse("fe80::1%1", 5);
  REQUIRE(scoped);
  CHECK(scoped->host().starts_with("fe80::1%"));
  const auto again = Address::parse(scoped->host(), 5);
  REQUIRE(again);
  CHECK(*again == *scoped);
  CHECK_FALSE(static_cast<bool>(Address()));
  CHECK(Address().text() == "no address");
  CHECK(Address().bytes().view().empty());
}

TEST_CASE("address: equality, hash and bytes differ by family, address, scope and port only") {
  const Address addresses[] = {
      *Address::parse("127.0.0.1", 1), *Address::parse("127.0.0.1", 2),
      *Address::parse("127.0.0.2", 1), *Address::parse("::1", 1),
      *Address::parse("::2", 1),       *Address::parse("::ffff:127.0.0.1", 1),
      *Address::parse("fe80::1", 1),   *Address::parse("fe80::1%1", 1),
  };
  std::set<Bytes> seen;
  for (const Address& one : addresses) {
    seen.insert(bytesOf(one.bytes()));
    for (const Address& two : addresses) {
      CHECK((one == two) == (&one == &two));
      CHECK((bytesOf(one.bytes()) == bytesOf(two.bytes())) == (one == two));
    }
  }
  CHECK(seen.size() == std::size(addresses));
  CHECK(bytesOf(addresses[0].hostBytes()) == bytesOf(addresses[1].hostBytes()));
  CHECK(bytesOf(addresses[0].bytes()) == Bytes{4, 127, 0, 0, 1, 0, 1});

  // What the kernel leaves in padding and flow label is no part of it.
  sockaddr_in6 native{};
  native.sin6_family = AF_INET6;
  native.sin6_addr = in6addr_loopback;
  native.sin6_port = htons(1);
  native.sin6_flowinfo = 12345;
  const auto labelled = Address::from(reinterpret_cast<sockaddr*>(&native), sizeof(native));
  REQUIRE(labelled);
  CHECK(*labelled == addresses[3]);
  CHECK(labelled->hash() == addresses[3].hash());
}

TEST_CASE("address: behind another relay it is another path, with the same bytes") {
  const Address here = *Address::parse("192.0.2.1", 5684);
  const Address there = here.behind(0), elsewhere = here.behind(7);
  CHECK_FALSE(here.relay());
  CHECK(there.relay() == 0u);
  CHECK(elsewhere.relay() == 7u);
  CHECK_FALSE(here == there);
  CHECK_FALSE(there == elsewhere);
  CHECK(there == here.behind(0));
  CHECK(std::ranges::equal(here.bytes().view(), elsewhere.bytes().view()));
  CHECK(here.text() == elsewhere.text());
}
