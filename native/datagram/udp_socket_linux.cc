// Linux: one system call moves a whole batch, and one element of it may be many datagrams.
//
// UDP_SEGMENT lets one send carry up to 64 datagrams of equal size to one address (the last may be
// shorter); UDP_GRO hands such a train to the receiver in one piece. On loopback a train is never
// taken apart: that is forty times fewer trips through the stack. What the kernel or the device
// cannot do is found out once and never tried again.
//
// MCBN_PORTABLE chooses the other file, for tests.
#if defined(__linux__) && !defined(MCBN_PORTABLE)

#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <vector>

#include "datagram/slab_layout.h"
#include "datagram/udp_socket.h"

// Older C libraries do not name them; the kernel's numbers are fixed.
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SOL_UDP
#define SOL_UDP 17
#endif

namespace mcbn {
namespace {

constexpr size_t kMaxTrain = 64;           // datagrams (UDP_MAX_SEGMENTS)
constexpr size_t kMaxTrainBytes = 65'507;  // of UDP payload, over IPv4
// Taken by one call when trains are long: what fits a core's cache until it is decrypted.
constexpr size_t kReceivedBytes = 512 * 1024;
constexpr size_t kControlBytes = CMSG_SPACE(sizeof(int));

struct alignas(cmsghdr) Control {
  uint8_t bytes[kControlBytes];
};

// How long each datagram of a received train is; all of it when it is no train.
size_t segmentOf(msghdr& header, size_t length) {
  for (cmsghdr* control = CMSG_FIRSTHDR(&header); control;
       control = CMSG_NXTHDR(&header, control)) {
    if (control->cmsg_level != SOL_UDP || control->cmsg_type != UDP_GRO) continue;
    int size = 0;
    std::memcpy(&size, CMSG_DATA(control), sizeof size);
    if (size > 0) return static_cast<size_t>(size);
  }
  return std::max<size_t>(length, 1);
}

bool sameAddress(const Address* a, const Address* b) { return a == b || (a && b && *a == *b); }

}  // namespace

struct ReceiveSlab {
  explicit ReceiveSlab(uint16_t count)
      : batch(count),
        memory(new(std::nothrow) uint8_t[slabBytes(count)]),
        headers(count),
        slots(count),
        senders(count),
        controls(count) {
    for (size_t i = 0; i < count; i++) {
      slots[i] = {memory.get() + slotOffset(i), kSlotBytes};
      headers[i].msg_hdr.msg_iov = &slots[i];
      headers[i].msg_hdr.msg_iovlen = 1;
      headers[i].msg_hdr.msg_name = senders[i].native();
      headers[i].msg_hdr.msg_control = controls[i].bytes;
      expect(headers[i]);
    }
  }
  // What the kernel has overwritten.
  static void expect(mmsghdr& header) {
    header.msg_hdr.msg_namelen = sizeof(Address);
    header.msg_hdr.msg_controllen = kControlBytes;
    header.msg_hdr.msg_flags = 0;
  }

  uint16_t batch;
  std::unique_ptr<uint8_t[]> memory;  // not initialised: untouched pages stay unreal
  std::vector<mmsghdr> headers;
  std::vector<iovec> slots;
  std::vector<Address> senders;
  std::vector<Control> controls;
  std::vector<ReceivedDatagram> received;
};

std::shared_ptr<ReceiveSlab> UdpSocket::makeSlab(uint16_t batch) {
  auto slab = std::make_shared<ReceiveSlab>(batch);
  return slab->memory ? slab : nullptr;
}

SystemError UdpSocket::openDescriptor(int family) {
  fd_ = ::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
  return fd_ >= 0 ? SystemError() : SystemError{errno, "socket"};
}

void UdpSocket::probeOffloads() {
  // The kernel knows it or does not: asked once. What a socket's device cannot do, its sending tells.
  static const bool known = [this] {
    int value = 0;
    socklen_t length = sizeof value;
    return getsockopt(fd_, SOL_UDP, UDP_SEGMENT, &value, &length) == 0;
  }();
  offloads_.segmentation = known;
  const int value = 1;
  offloads_.coalescing = setsockopt(fd_, SOL_UDP, UDP_GRO, &value, sizeof value) == 0;
  longest_segment_ = kMaxTrainBytes;
}

// ---- receiving ---------------------------------------------------------------------------------

ReceiveResult UdpSocket::receiveBatch() {
  if (!isOpen()) return {IoStatus::Error, {}, {EBADF, "recvmmsg"}};
  ReceiveSlab& slab = *slab_;
  const auto wanted = static_cast<unsigned>(
      std::clamp<size_t>(kReceivedBytes / std::max<size_t>(train_bytes_, 1), 1, slab.batch));
  int count;
  do {
    count = recvmmsg(fd_, slab.headers.data(), wanted, MSG_DONTWAIT, nullptr);
  } while (count < 0 && errno == EINTR);
  if (count < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {IoStatus::Again, {}, {}};
    return {IoStatus::Error, {}, {errno, "recvmmsg"}};
  }

  slab.received.clear();
  size_t bytes = 0;
  for (int i = 0; i < count; i++) {
    mmsghdr& header = slab.headers[i];
    bytes += header.msg_len;
    const bool truncated = (header.msg_hdr.msg_flags & MSG_TRUNC) != 0;
    const MutableBytes train{slab.memory.get() + slotOffset(i), header.msg_len};
    const size_t segment = segmentOf(header.msg_hdr, train.size());
    size_t at = 0;
    do {  // once for an empty datagram
      const size_t length = std::min(segment, train.size() - at);
      slab.received.push_back({slab.senders[i], train.subspan(at, length), truncated});
      at += length;
    } while (at < train.size());
    slab.expect(header);
  }
  train_bytes_ = bytes / static_cast<size_t>(count);
  return {IoStatus::Ok, slab.received, {}, static_cast<unsigned>(count) == wanted};
}

// ---- sending -----------------------------------------------------------------------------------

// How many of the first datagrams can leave as one train.
size_t UdpSocket::trainLength(std::span<const OutgoingDatagram> datagrams) const {
  const OutgoingDatagram& first = datagrams.front();
  const size_t segment = first.datagram.size();
  if (!offloads_.segmentation || segment == 0 || segment > longest_segment_) return 1;
  size_t count = 1, bytes = segment;
  while (count < datagrams.size() && count < kMaxTrain) {
    const OutgoingDatagram& next = datagrams[count];
    const size_t size = next.datagram.size();
    if (size == 0 || size > segment || bytes + size > kMaxTrainBytes) break;
    if (!sameAddress(first.to, next.to)) break;
    count += 1;
    bytes += size;
    if (size < segment) break;  // a shorter one ends the train
  }
  return count;
}

// True when the train that failed is worth another try, datagram by datagram.
bool UdpSocket::learnFrom(int error, size_t segment) {
  switch (error) {
    case EINVAL:
    case EMSGSIZE:
      // Trains cannot be fragmented: datagrams longer than the path's MTU travel alone.
      longest_segment_ = segment - 1;
      return true;
    case EIO:  // a device without checksum offload
    case EOPNOTSUPP:
    case ENOPROTOOPT:
      offloads_.segmentation = false;
      return true;
    default:
      return false;
  }
}

SendResult UdpSocket::sendBatch(std::span<const OutgoingDatagram> datagrams) {
  if (!isOpen()) return {IoStatus::Error, 0, {EBADF, "sendmmsg"}};
  constexpr size_t kMaxCall = 64;     // trains
  constexpr size_t kMaxParts = 1024;  // datagrams: the kernel's UIO_MAXIOV for one of them
  mmsghdr headers[kMaxCall];
  iovec parts[kMaxParts];
  Control controls[kMaxCall];
  // Zeroed for clang-tidy, which cannot know that sendmmsg takes no more than it is given.
  size_t lengths[kMaxCall] = {};

  size_t sent = 0;
  while (sent < datagrams.size()) {
    size_t trains = 0, filled = 0;
    while (trains < kMaxCall && sent + filled < datagrams.size()) {
      const auto rest = datagrams.subspan(sent + filled);
      const size_t count = trainLength(rest);
      if (filled + count > kMaxParts) break;
      for (size_t i = 0; i < count; i++) {
        // The kernel only reads; its structures are shared with receiving and so not const.
        parts[filled + i] = {const_cast<uint8_t*>(rest[i].datagram.data()),
                             rest[i].datagram.size()};
      }
      msghdr& header = headers[trains].msg_hdr;
      header = {};
      header.msg_iov = &parts[filled];
      header.msg_iovlen = count;
      if (rest[0].to != nullptr) {
        header.msg_name = const_cast<sockaddr*>(rest[0].to->native());
        header.msg_namelen = rest[0].to->nativeLength();
      }
      if (count > 1) {
        header.msg_control = controls[trains].bytes;
        header.msg_controllen = CMSG_SPACE(sizeof(uint16_t));
        cmsghdr* const control = CMSG_FIRSTHDR(&header);
        control->cmsg_level = SOL_UDP;
        control->cmsg_type = UDP_SEGMENT;
        control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
        const auto segment = static_cast<uint16_t>(rest[0].datagram.size());
        std::memcpy(CMSG_DATA(control), &segment, sizeof segment);
      }
      lengths[trains++] = count;
      filled += count;
    }
    const int done = sendmmsg(fd_, headers, static_cast<unsigned>(trains), MSG_DONTWAIT);
    if (done >= 0) {
      // Fewer than asked for: the next call says why.
      for (int i = 0; i < done; i++) sent += lengths[i];
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {IoStatus::Again, sent, {}};
    const int error = errno;
    if (lengths[0] > 1 && learnFrom(error, datagrams[sent].datagram.size())) continue;
    return {IoStatus::Error, sent, {error, "sendmmsg"}};
  }
  return {IoStatus::Ok, sent, {}};
}

}  // namespace mcbn

#endif
