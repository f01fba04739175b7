// Linux: one system call moves a whole batch. MCBN_PORTABLE chooses the other file, for tests.
#if defined(__linux__) && !defined(MCBN_PORTABLE)

#include <algorithm>
#include <cerrno>
#include <new>
#include <vector>

#include "datagram/slab_layout.h"
#include "datagram/udp_socket.h"

namespace mcbn {

struct UdpSocket::Slab {
  explicit Slab(uint16_t count)
      : batch(count),
        memory(new(std::nothrow) uint8_t[slabBytes(count)]),
        headers(count),
        slots(count),
        received(count) {
    for (size_t i = 0; i < count; i++) {
      slots[i] = {memory.get() + slotOffset(i), kSlotBytes};
      headers[i].msg_hdr.msg_iov = &slots[i];
      headers[i].msg_hdr.msg_iovlen = 1;
      headers[i].msg_hdr.msg_name = received[i].from.native();
    }
  }

  uint16_t batch;
  std::unique_ptr<uint8_t[]> memory;  // not initialised: untouched pages stay unreal
  std::vector<mmsghdr> headers;
  std::vector<iovec> slots;
  std::vector<ReceivedDatagram> received;
};

void UdpSocket::SlabDeleter::operator()(Slab* slab) const { delete slab; }

SystemError UdpSocket::makeSlab(uint16_t batch) {
  slab_.reset(new Slab(batch));
  return slab_->memory ? SystemError() : SystemError{ENOMEM, "socket"};
}

ReceiveResult UdpSocket::receiveBatch() {
  if (!isOpen()) return {IoStatus::Error, {}, {EBADF, "recvmmsg"}};
  Slab& slab = *slab_;
  for (mmsghdr& header : slab.headers) {
    header.msg_hdr.msg_namelen = sizeof(Address);
    header.msg_hdr.msg_flags = 0;
  }
  int count;
  do {
    count = recvmmsg(fd_, slab.headers.data(), slab.batch, MSG_DONTWAIT, nullptr);
  } while (count < 0 && errno == EINTR);
  if (count < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {IoStatus::Again, {}, {}};
    return {IoStatus::Error, {}, {errno, "recvmmsg"}};
  }

  for (int i = 0; i < count; i++) {
    const mmsghdr& header = slab.headers[i];
    slab.received[i].datagram = {slab.memory.get() + slotOffset(i), header.msg_len};
    slab.received[i].truncated = (header.msg_hdr.msg_flags & MSG_TRUNC) != 0;
  }
  return {IoStatus::Ok, {slab.received.data(), static_cast<size_t>(count)}, {}};
}

SendResult UdpSocket::sendBatch(std::span<const OutgoingDatagram> datagrams) {
  if (!isOpen()) return {IoStatus::Error, 0, {EBADF, "sendmmsg"}};
  constexpr size_t kMaxCall = 64;
  mmsghdr headers[kMaxCall];
  iovec parts[kMaxCall];

  size_t sent = 0;
  while (sent < datagrams.size()) {
    const size_t batch = std::min(datagrams.size() - sent, kMaxCall);
    for (size_t i = 0; i < batch; i++) {
      const OutgoingDatagram& next = datagrams[sent + i];
      // The kernel only reads; its structures are shared with receiving and so not const.
      parts[i] = {const_cast<uint8_t*>(next.datagram.data()), next.datagram.size()};
      headers[i] = {};
      headers[i].msg_hdr.msg_iov = &parts[i];
      headers[i].msg_hdr.msg_iovlen = 1;
      if (next.to != nullptr) {
        headers[i].msg_hdr.msg_name = const_cast<sockaddr*>(next.to->native());
        headers[i].msg_hdr.msg_namelen = next.to->nativeLength();
      }
    }
    const int count = sendmmsg(fd_, headers, static_cast<unsigned>(batch), MSG_DONTWAIT);
    if (count >= 0) {
      // Fewer than asked for: the next call says why.
      sent += static_cast<size_t>(count);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {IoStatus::Again, sent, {}};
    return {IoStatus::Error, sent, {errno, "sendmmsg"}};
  }
  return {IoStatus::Ok, sent, {}};
}

}  // namespace mcbn

#endif
