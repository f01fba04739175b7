// address_bytes.h: a peer's address as opaque bytes, with nothing of sockets: for those folders
// that know none.
#pragma once

#include <algorithm>
#include <array>

#include "base/bytes.h"

namespace mcbn {

// 32 bytes hold family, IPv6 address, port and scope. Equal addresses have equal bytes, on every
// machine: the cookie is made from them, and instances that share a secret must agree.
constexpr size_t kMaxAddressBytes = 32;

class AddressBytes {
 public:
  constexpr AddressBytes() = default;

  // False, and unchanged, when the bytes do not fit.
  [[nodiscard]] constexpr bool append(ByteView bytes) {
    if (bytes.size() > kMaxAddressBytes - size_) return false;
    std::copy(bytes.begin(), bytes.end(), bytes_.begin() + size_);
    size_ = static_cast<uint8_t>(size_ + bytes.size());
    return true;
  }

  constexpr ByteView view() const { return ByteView(bytes_.data(), size_); }

 private:
  std::array<uint8_t, kMaxAddressBytes> bytes_{};
  uint8_t size_ = 0;
};

}  // namespace mcbn
