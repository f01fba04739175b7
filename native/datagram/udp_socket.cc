// What every platform shares: opening, options, addresses. Batches are in udp_socket_*.cc.
#include "datagram/udp_socket.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace mcbn {
namespace {

SystemError failed(const char* call) { return {errno, call}; }

SystemError setOption(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof(value)) == 0 ? SystemError()
                                                                   : failed("setsockopt");
}

int option(int fd, int name) {
  int value = 0;
  socklen_t length = sizeof(value);
  return getsockopt(fd, SOL_SOCKET, name, &value, &length) == 0 ? value : 0;
}

SystemError applyOptions(int fd, const Address& bind, const UdpOptions& options) {
  SystemError error;
  if (options.reusePort) error = setOption(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  // Always said, never left to the system: its default differs from machine to machine.
  if (!error && bind.isIpv6()) error = setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, options.ipv6Only);
  if (!error && options.recvBufferSize > 0) {
    error = setOption(fd, SOL_SOCKET, SO_RCVBUF, options.recvBufferSize);
  }
  if (!error && options.sendBufferSize > 0) {
    error = setOption(fd, SOL_SOCKET, SO_SNDBUF, options.sendBufferSize);
  }
  return error;
}

}  // namespace

UdpSocket::~UdpSocket() { close(); }

SystemError UdpSocket::open(const Address& bind, const UdpOptions& options) {
  if (isOpen()) return {EISCONN, "socket"};
  if (!bind) return {EAFNOSUPPORT, "socket"};
  if (options.recvBufferSize < 0 || options.sendBufferSize < 0) return {EINVAL, "setsockopt"};
  SystemError error = openDescriptor(bind.family());
  if (!error) error = applyOptions(fd_, bind, options);
  if (!error && ::bind(fd_, bind.native(), bind.nativeLength()) != 0) error = failed("bind");
  if (!error) {
    slab_ = options.slab ? options.slab : makeSlab(std::clamp<uint16_t>(options.batch, 1, 1024));
    if (!slab_) error = {ENOMEM, "socket"};
  }
  if (!error) probeOffloads();
  if (error) close();
  return error;
}

SystemError UdpSocket::connect(const Address& peer) {
  if (!isOpen()) return {EBADF, "connect"};
  if (!peer) return {EAFNOSUPPORT, "connect"};
  if (::connect(fd_, peer.native(), peer.nativeLength()) != 0) return failed("connect");
  peer_ = peer;
  return {};
}

void UdpSocket::close() {
  // Not repeated after EINTR: the descriptor is gone by then, and may be another thread's.
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  peer_ = Address();
  slab_.reset();
}

Address UdpSocket::localAddress() const {
  Address address;
  socklen_t length = sizeof(Address);
  if (!isOpen() || getsockname(fd_, address.native(), &length) != 0) return Address();
  return address;
}

int UdpSocket::recvBufferSize() const { return isOpen() ? option(fd_, SO_RCVBUF) : 0; }

int UdpSocket::sendBufferSize() const { return isOpen() ? option(fd_, SO_SNDBUF) : 0; }

}  // namespace mcbn
