// udp_socket.h: one UDP socket, non-blocking, in batches.
//
//   receiveBatch() -> datagrams in the socket's own slab, valid until the next receiveBatch()
//   sendBatch(datagrams) -> how many went out; the rest stays the caller's
//
// One file a platform: udp_socket_linux.cc (recvmmsg, sendmmsg, UDP_SEGMENT and UDP_GRO where the
// kernel has them), udp_socket_posix.cc (one call a datagram). What they share is in udp_socket.cc.
// Several sockets on one address: udp_group_linux.cc, and udp_group_posix.cc, which cannot.
//
// Ownership   the object owns its descriptor, and its slab alone or with others. A slab is address
//             space until used: batch * 64 KB, of which only pages that datagrams were written to
//             are real.
// Thread      one at a time.
// Errors      values. EINTR never shows. A connected socket shows ICMP errors as ECONNREFUSED
//             and the like, once, from whichever call comes next; the socket stays usable.
#pragma once

#include <memory>
#include <span>

#include "base/bytes.h"
#include "datagram/address.h"
#include "datagram/system_error.h"

namespace mcbn {

// Where datagrams are received: the platform's buffers and headers. Sockets of one thread may share
// one, since what a receiveBatch() gives is used before the next.
struct ReceiveSlab;

struct UdpOptions {
  bool reusePort = false;  // SO_REUSEPORT: several sockets share one port
  bool ipv6Only = false;   // IPV6_V6ONLY; otherwise "::" takes IPv4 as well
  int recvBufferSize = 0;  // SO_RCVBUF, bytes; 0: the system's default
  int sendBufferSize = 0;  // SO_SNDBUF, bytes; 0: the system's default
  uint16_t batch = 64;     // slots filled by one receiveBatch(), 1 to 1024; see ReceiveResult
  std::shared_ptr<ReceiveSlab> slab;  // to share; null: it makes one, with `batch` slots
};

// Datagrams that begin with this byte, of which `firstMask` says what counts.
struct SteeredForm {
  uint8_t firstByte;
  uint8_t indexAt;
  uint8_t firstMask = 0xff;
};

struct ReceivedDatagram {
  Address from;
  MutableBytes datagram;   // may be empty: zero-length datagrams exist
  bool truncated = false;  // it was longer than a slot (more than 65535 bytes)
};

struct OutgoingDatagram {
  ByteView datagram;
  const Address* to = nullptr;  // nullptr on a connected socket; borrowed during the call
};

enum class IoStatus {
  Ok,     // progress was made; there may be more
  Again,  // nothing to read, or no room to write: wait for the poller
  Error,  // `error` says what; the socket may still be used
};

// A slot holds one datagram, or with UDP_GRO up to 64 that came from one sender.
struct ReceiveResult {
  IoStatus status = IoStatus::Ok;
  std::span<const ReceivedDatagram> datagrams;  // empty unless Ok
  SystemError error;
  bool more = false;  // every slot was filled: another call is worth its price
};

struct SendResult {
  IoStatus status = IoStatus::Ok;  // Ok: all went out
  // How many went out. On Error the datagram at this index is the one refused (EMSGSIZE,
  // ENETUNREACH, ENOBUFS ...): skip it or end its peer, and send the rest again.
  size_t sent = 0;
  SystemError error;
};

// What the system does for whole trains of datagrams. Probed when the socket is opened; turned off
// for good if it fails later.
struct Offloads {
  bool segmentation = false;  // UDP_SEGMENT: one send, many datagrams
  bool coalescing = false;    // UDP_GRO: one receive, many datagrams
};

class UdpSocket {
 public:
  UdpSocket() = default;
  ~UdpSocket();
  UdpSocket(const UdpSocket&) = delete;
  UdpSocket& operator=(const UdpSocket&) = delete;

  // Opens and binds; `bind` decides the family, its port may be 0. Refuses an open socket.
  SystemError open(const Address& bind, const UdpOptions& options);
  // From now on only datagrams of `peer` come in, and ICMP errors show.
  SystemError connect(const Address& peer);
  // Several sockets on one address, each with a share of the peers. The first is opened without
  // reusePort, so that an address which somebody else has is refused, and begins the group; the
  // others are opened with it, at the first one's address. ENOTSUP where the system does not
  // balance.
  SystemError beginGroup();
  // Datagrams of these forms, kMostForms at most, go to the socket whose place in the order of opening
  // is the bits `mask` of their byte at `indexAt`, if there is one, wherever they come from. For the
  // whole group, once it is complete; a socket that is closed changes the order.
  SystemError steerGroup(std::span<const SteeredForm> forms, uint8_t mask = 0xff);
  static constexpr size_t kMostForms = 2;
  void close();

  bool isOpen() const { return fd_ >= 0; }
  int fd() const { return fd_; }  // for the Poller
  bool connected() const { return static_cast<bool>(peer_); }
  // The bound address with the port that the system chose; no address if not open.
  Address localAddress() const;
  // The sizes in force, bytes, as the system reports them; 0 if not open.
  int recvBufferSize() const;
  int sendBufferSize() const;

  Offloads offloads() const { return offloads_; }
  // For the next socket to share.
  const std::shared_ptr<ReceiveSlab>& slab() const { return slab_; }

  ReceiveResult receiveBatch();
  SendResult sendBatch(std::span<const OutgoingDatagram> datagrams);

 private:
  // The platform's.
  static std::shared_ptr<ReceiveSlab> makeSlab(uint16_t batch);
  // Sets fd_: it does not block, and is closed in programs that this process starts.
  SystemError openDescriptor(int family);
  void probeOffloads();
  size_t trainLength(std::span<const OutgoingDatagram> datagrams) const;
  bool learnFrom(int error, size_t segment);

  int fd_ = -1;
  Address peer_;
  Offloads offloads_;
  size_t longest_segment_ = 0;  // of a train, bytes
  size_t train_bytes_ = 0;      // of what came last, for each slot
  SystemError pending_;         // read from the socket, not yet reported
  std::shared_ptr<ReceiveSlab> slab_;
};

}  // namespace mcbn
