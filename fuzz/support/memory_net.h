// memory_net.h: UDP without a kernel. Links in the place of native/datagram/'s sockets and poller, so
// that whole endpoints can be fuzzed, and tested with a system that refuses.
//
//   socket.sendBatch() -> Net::sent -> the driver -> Net::deliver() -> socket.receiveBatch()
//
// Thread  one.
#pragma once

#include <deque>
#include <map>

#include "datagram/udp_socket.h"

namespace mcbn::memory {

struct Packet {
  Address from, to;
  Bytes bytes;
};

class Net {
 public:
  // What sockets have sent and nobody has carried yet.
  std::deque<Packet> sent;
  // The errno that the next sending ends with; 0: none. EAGAIN: the buffer is full, for `refusals`
  // calls.
  int refusal = 0;
  unsigned refusals = 0;

  // Where a packet is for, if a socket is bound there and takes it.
  bool deliver(const Packet& packet);
  // All sockets are closed; nothing is under way.
  void clear();

 private:
  friend class mcbn::UdpSocket;
  struct Socket {
    Address local, peer;
    std::deque<Packet> inbox;
    // What the last receiveBatch() gave: each in memory of exactly its size.
    std::vector<std::unique_ptr<uint8_t[]>> memory;
    std::vector<ReceivedDatagram> batch;
  };
  std::map<int, Socket> sockets_;
  int last_fd_ = 1'000;
};

Net& net();

}  // namespace mcbn::memory
