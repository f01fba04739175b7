// address.h: an IPv4 or IPv6 address with its port, as the socket calls take it.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/address_bytes.h"

namespace mcbn {

// 32 bytes, cheap to copy. A default-made Address is not an address: family AF_UNSPEC, equal only to
// another such.
class Address {
 public:
  Address();

  // A literal such as "127.0.0.1", "::1" or "fe80::1%eth0"; host names are not resolved here.
  // nullopt: not a literal address, or an interface that does not exist.
  static std::optional<Address> parse(std::string_view literal, uint16_t port);
  // From the kernel. nullopt: another family, or too short for its family.
  static std::optional<Address> from(const sockaddr* native, socklen_t length);

  // The other way round from bytes(). nullopt: these are none.
  static std::optional<Address> fromBytes(ByteView bytes);
  // The same peer as an IPv4 address where it is one (RFC 4291 section 2.5.5.2).
  Address unmapped() const;
  // The same as a socket of the family takes it. nullopt: it cannot.
  std::optional<Address> forFamily(sa_family_t family) const;

  // In a fleet a peer may be heard by another node, which has to send what is for it: the same
  // address behind another relay is another path. `relay`: a number of the caller's, below 2^32 - 1.
  Address behind(uint32_t relay) const;
  // nullopt: it is heard here.
  std::optional<uint32_t> relay() const;

  sa_family_t family() const { return storage_.any.sa_family; }
  bool isIpv4() const { return family() == AF_INET; }
  bool isIpv6() const { return family() == AF_INET6; }
  explicit operator bool() const { return isIpv4() || isIpv6(); }
  uint16_t port() const;

  // "127.0.0.1", "::1", "fe80::1%eth0" (as node:dgram's rinfo.address).
  std::string host() const;
  // "127.0.0.1:8081", "[::1]:8081".
  std::string text() const;

  // What the cookie is made from: family, address, scope, port, in network order.
  AddressBytes bytes() const;
  // The same without the port: what a limit per host counts by.
  AddressBytes hostBytes() const;

  const sockaddr* native() const { return &storage_.any; }
  sockaddr* native() { return &storage_.any; }
  socklen_t nativeLength() const { return isIpv4() ? sizeof(sockaddr_in) : sizeof(sockaddr_in6); }

  bool operator==(const Address& other) const;
  // Unkeyed: a table that strangers can fill should mix in a secret.
  size_t hash() const;

 private:
  union Storage {
    sockaddr any;
    sockaddr_in ipv4;
    sockaddr_in6 ipv6;
  } storage_;
  uint32_t relay_ = 0;  // one more than its number; 0: heard here
};

static_assert(sizeof(Address) == 32);

}  // namespace mcbn

template <>
struct std::hash<mcbn::Address> {
  size_t operator()(const mcbn::Address& address) const noexcept { return address.hash(); }
};
