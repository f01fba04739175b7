// Other systems: SO_REUSEPORT either is not there or gives every datagram to the socket that was
// bound last (macOS). Then a server has one socket.
#if !defined(__linux__) || defined(MCBN_PORTABLE)

#include <cerrno>

#include "datagram/udp_socket.h"

namespace mcbn {

SystemError UdpSocket::beginGroup() { return {ENOTSUP, "setsockopt"}; }

SystemError UdpSocket::steerGroup(std::span<const SteeredForm>, uint8_t) {
  return {ENOTSUP, "setsockopt"};
}

}  // namespace mcbn

#endif
