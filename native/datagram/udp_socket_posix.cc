// Every other POSIX system: one call a datagram, the same results.
#if !defined(__linux__) || defined(MCBN_PORTABLE)

#include <fcntl.h>

#include <cerrno>
#include <new>
#include <utility>
#include <vector>

#include "datagram/slab_layout.h"
#include "datagram/udp_socket.h"

namespace mcbn {

struct ReceiveSlab {
  explicit ReceiveSlab(uint16_t count)
      : batch(count), memory(new(std::nothrow) uint8_t[slabBytes(count)]), received(count) {}

  uint16_t batch;
  std::unique_ptr<uint8_t[]> memory;  // not initialised: untouched pages stay unreal
  std::vector<ReceivedDatagram> received;
};

std::shared_ptr<ReceiveSlab> UdpSocket::makeSlab(uint16_t batch) {
  auto slab = std::make_shared<ReceiveSlab>(batch);
  return slab->memory ? slab : nullptr;
}

// In steps: macOS has neither SOCK_NONBLOCK nor SOCK_CLOEXEC.
SystemError UdpSocket::openDescriptor(int family) {
  fd_ = ::socket(family, SOCK_DGRAM, IPPROTO_UDP);
  if (fd_ < 0) return {errno, "socket"};
  const int flags = fcntl(fd_, F_GETFL, 0);
  const bool done = flags >= 0 && fcntl(fd_, F_SETFL, flags | O_NONBLOCK) == 0 &&
                    fcntl(fd_, F_SETFD, FD_CLOEXEC) == 0;
  return done ? SystemError() : SystemError{errno, "fcntl"};
}

void UdpSocket::probeOffloads() {}  // there are none

ReceiveResult UdpSocket::receiveBatch() {
  if (!isOpen()) return {IoStatus::Error, {}, {EBADF, "recvmsg"}};
  ReceiveSlab& slab = *slab_;
  if (pending_) return {IoStatus::Error, {}, std::exchange(pending_, {})};
  size_t count = 0;
  while (count < slab.batch) {
    ReceivedDatagram& next = slab.received[count];
    iovec slot{slab.memory.get() + slotOffset(count), kSlotBytes};
    msghdr header{};
    header.msg_iov = &slot;
    header.msg_iovlen = 1;
    header.msg_name = next.from.native();
    header.msg_namelen = sizeof(Address);
    const ssize_t size = recvmsg(fd_, &header, MSG_DONTWAIT);
    if (size >= 0) {
      next.datagram = {static_cast<uint8_t*>(slot.iov_base), static_cast<size_t>(size)};
      next.truncated = (header.msg_flags & MSG_TRUNC) != 0;
      count++;
      continue;
    }
    if (errno == EINTR) continue;
    const bool nothingMore = errno == EAGAIN || errno == EWOULDBLOCK;
    // An ICMP error stands behind the datagrams already here: the next call tells it.
    if (!nothingMore) pending_ = {errno, "recvmsg"};
    break;
  }
  if (count == 0 && pending_) return {IoStatus::Error, {}, std::exchange(pending_, {})};
  if (count == 0) return {IoStatus::Again, {}, {}};
  const bool more = count == slab.batch || static_cast<bool>(pending_);
  return {IoStatus::Ok, {slab.received.data(), count}, {}, more};
}

SendResult UdpSocket::sendBatch(std::span<const OutgoingDatagram> datagrams) {
  if (!isOpen()) return {IoStatus::Error, 0, {EBADF, "sendto"}};
  size_t sent = 0;
  while (sent < datagrams.size()) {
    const OutgoingDatagram& next = datagrams[sent];
    const ssize_t size =
        sendto(fd_, next.datagram.data(), next.datagram.size(), MSG_DONTWAIT,
               next.to ? next.to->native() : nullptr, next.to ? next.to->nativeLength() : 0);
    if (size >= 0) {
      sent++;
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {IoStatus::Again, sent, {}};
    return {IoStatus::Error, sent, {errno, "sendto"}};
  }
  return {IoStatus::Ok, sent, {}};
}

}  // namespace mcbn

#endif
