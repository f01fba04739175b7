#include "datagram/address.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <array>
#include <charconv>
#include <cstring>

namespace mcbn {
namespace {

template <typename Value>
ByteView bytesOf(const Value& value) {
  return {reinterpret_cast<const uint8_t*>(&value), sizeof(value)};
}

constexpr size_t kMappedPrefix = 12;  // bytes in front of a mapped IPv4 address

// "eth0" or "2". 0: there is none.
uint32_t scopeOf(const std::string& zone) {
  uint32_t index = 0;
  const char* end = zone.data() + zone.size();
  const auto [stop, failure] = std::from_chars(zone.data(), end, index);
  if (failure == std::errc() && stop == end) return index;
  return if_nametoindex(zone.c_str());
}

}  // namespace

Address::Address() {
  std::memset(&storage_, 0, sizeof(storage_));
  storage_.any.sa_family = AF_UNSPEC;
}

std::optional<Address> Address::parse(std::string_view literal, uint16_t port) {
  // A NUL would end the literal early for inet_pton.
  if (literal.find('\0') != std::string_view::npos) return std::nullopt;
  Address address;
  const size_t percent = literal.find('%');
  const std::string host(literal.substr(0, percent));
  if (inet_pton(AF_INET, host.c_str(), &address.storage_.ipv4.sin_addr) == 1) {
    if (percent != std::string_view::npos) return std::nullopt;
    address.storage_.ipv4.sin_family = AF_INET;
    address.storage_.ipv4.sin_port = htons(port);
    return address;
  }
  if (inet_pton(AF_INET6, host.c_str(), &address.storage_.ipv6.sin6_addr) != 1) return std::nullopt;
  address.storage_.ipv6.sin6_family = AF_INET6;
  address.storage_.ipv6.sin6_port = htons(port);
  if (percent != std::string_view::npos) {
    address.storage_.ipv6.sin6_scope_id = scopeOf(std::string(literal.substr(percent + 1)));
    if (address.storage_.ipv6.sin6_scope_id == 0) return std::nullopt;
  }
  return address;
}

std::optional<Address> Address::from(const sockaddr* native, socklen_t length) {
  constexpr socklen_t kFamilyEnd = offsetof(sockaddr, sa_family) + sizeof(sa_family_t);
  if (native == nullptr || length < kFamilyEnd) return std::nullopt;
  Address address;
  if (native->sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
    std::memcpy(&address.storage_.ipv4, native, sizeof(sockaddr_in));
    return address;
  }
  if (native->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    std::memcpy(&address.storage_.ipv6, native, sizeof(sockaddr_in6));
    return address;
  }
  return std::nullopt;
}

uint16_t Address::port() const {
  if (isIpv4()) return ntohs(storage_.ipv4.sin_port);
  return isIpv6() ? ntohs(storage_.ipv6.sin6_port) : 0;
}

std::string Address::host() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* raw = isIpv4() ? static_cast<const void*>(&storage_.ipv4.sin_addr)
                             : static_cast<const void*>(&storage_.ipv6.sin6_addr);
  if (!*this || inet_ntop(family(), raw, text.data(), text.size()) == nullptr) return "";
  std::string host = text.data();
  if (isIpv6() && storage_.ipv6.sin6_scope_id != 0) {
    std::array<char, IF_NAMESIZE> name{};
    const uint32_t scope = storage_.ipv6.sin6_scope_id;
    host += '%';
    // An interface that went away still has its number.
    host += if_indextoname(scope, name.data()) ? std::string(name.data()) : std::to_string(scope);
  }
  return host;
}

std::string Address::text() const {
  if (!*this) return "no address";
  const std::string port = ':' + std::to_string(this->port());
  return isIpv4() ? host() + port : '[' + host() + ']' + port;
}

AddressBytes Address::hostBytes() const {
  AddressBytes out;
  bool fits = true;
  if (isIpv4()) {
    const std::array<uint8_t, 1> kind{4};
    fits = out.append(kind) && out.append(bytesOf(storage_.ipv4.sin_addr));
  } else if (isIpv6()) {
    const std::array<uint8_t, 1> kind{6};
    const uint32_t scope = htonl(storage_.ipv6.sin6_scope_id);
    fits = out.append(kind) && out.append(bytesOf(storage_.ipv6.sin6_addr)) &&
           out.append(bytesOf(scope));
  }
  static_assert(1 + sizeof(in6_addr) + sizeof(uint32_t) + sizeof(in_port_t) <= kMaxAddressBytes);
  return fits ? out : AddressBytes();
}

AddressBytes Address::bytes() const {
  AddressBytes out = hostBytes();
  const in_port_t port = htons(this->port());
  return *this && out.append(bytesOf(port)) ? out : AddressBytes();
}

std::optional<Address> Address::fromBytes(ByteView bytes) {
  Reader in(bytes);
  uint8_t kind = 0;
  uint16_t port = 0;
  uint32_t scope = 0;
  ByteView host;
  Address address;
  if (!in.u8(kind)) return std::nullopt;
  if (kind == 4) {
    if (!in.take(sizeof(in_addr), host) || !in.u16(port) || !in.empty()) return std::nullopt;
    address.storage_.ipv4.sin_family = AF_INET;
    address.storage_.ipv4.sin_port = htons(port);
    std::memcpy(&address.storage_.ipv4.sin_addr, host.data(), host.size());
    return address;
  }
  if (kind != 6 || !in.take(sizeof(in6_addr), host) || !in.u32(scope) || !in.u16(port) ||
      !in.empty()) {
    return std::nullopt;
  }
  address.storage_.ipv6.sin6_family = AF_INET6;
  address.storage_.ipv6.sin6_port = htons(port);
  address.storage_.ipv6.sin6_scope_id = scope;
  std::memcpy(&address.storage_.ipv6.sin6_addr, host.data(), host.size());
  return address;
}

Address Address::unmapped() const {
  if (!isIpv6() || !IN6_IS_ADDR_V4MAPPED(&storage_.ipv6.sin6_addr)) return *this;
  Address address;
  address.storage_.ipv4.sin_family = AF_INET;
  address.storage_.ipv4.sin_port = storage_.ipv6.sin6_port;
  std::memcpy(&address.storage_.ipv4.sin_addr, storage_.ipv6.sin6_addr.s6_addr + kMappedPrefix,
              sizeof(in_addr));
  return address;
}

std::optional<Address> Address::forFamily(sa_family_t family) const {
  const Address plain = unmapped();
  if (family == plain.family()) return plain;
  if (family != AF_INET6 || !plain.isIpv4()) return std::nullopt;
  Address mapped;
  mapped.storage_.ipv6.sin6_family = AF_INET6;
  mapped.storage_.ipv6.sin6_port = plain.storage_.ipv4.sin_port;
  uint8_t* const bytes = mapped.storage_.ipv6.sin6_addr.s6_addr;
  bytes[10] = bytes[11] = 0xff;
  std::memcpy(bytes + kMappedPrefix, &plain.storage_.ipv4.sin_addr, sizeof(in_addr));
  return mapped;
}

Address Address::behind(uint32_t relay) const {
  MCBN_ASSERT(relay < UINT32_MAX);
  Address address = *this;
  address.relay_ = relay + 1;
  return address;
}

std::optional<uint32_t> Address::relay() const {
  return relay_ == 0 ? std::nullopt : std::optional(relay_ - 1);
}

bool Address::operator==(const Address& other) const {
  if (family() != other.family() || relay_ != other.relay_) return false;
  if (isIpv4()) {
    return storage_.ipv4.sin_port == other.storage_.ipv4.sin_port &&
           storage_.ipv4.sin_addr.s_addr == other.storage_.ipv4.sin_addr.s_addr;
  }
  // The flow label is no part of an address: it may differ from datagram to datagram.
  return !isIpv6() || (storage_.ipv6.sin6_port == other.storage_.ipv6.sin6_port &&
                       storage_.ipv6.sin6_scope_id == other.storage_.ipv6.sin6_scope_id &&
                       std::memcmp(&storage_.ipv6.sin6_addr, &other.storage_.ipv6.sin6_addr,
                                   sizeof(in6_addr)) == 0);
}

size_t Address::hash() const {
  const AddressBytes key = bytes();
  const ByteView view = key.view();
  return relay_ ^
         std::hash<std::string_view>()({reinterpret_cast<const char*>(view.data()), view.size()});
}

}  // namespace mcbn
