// fleet_link.h: how one endpoint of a server reaches the other nodes of its fleet: over another
// UDP socket, which no client knows.
//
//   client --> this node --ToOwner--> the node that has the session
//   client <-- this node <--ToClient-- the same
//
// A client's datagram that came from another node is never sent on again. Nothing waits: what the
// system does not take at once is dropped and counted, as a router does.
//
// Ownership   a ServerEndpoint has one, where there is a fleet.
// Thread      the I/O thread.
// Spec        docs/FLEET.md
#pragma once

#include <map>
#include <memory>

#include "datagram/udp_socket.h"
#include "engine/endpoint.h"
#include "engine/fleet_directory.h"
#include "record/forwarding.h"
#include "record/node_id.h"

namespace mcbn {

struct FleetLinkOptions {
  Address local;
  UdpOptions udp;
  size_t threads = 1;
  size_t thread_index = 0;
  uint64_t most_forwards = 0;  // a second
};

class FleetLink {
 public:
  // What the endpoint does for it.
  class Owner {
   public:
    // Another node was sent this by a client, which `from` names.
    virtual void arrived(const Address& from, MutableBytes datagram, Milliseconds now) = 0;
    // Another node answers a client that this node hears.
    virtual void sendOut(const Address& client, ByteView datagram) = 0;

   protected:
    ~Owner() = default;
  };

  FleetLink(std::shared_ptr<FleetDirectory> directory, FleetLinkOptions options,
            EndpointStats& stats, Owner& owner);

  SystemError open(const std::shared_ptr<ReceiveSlab>& slab);
  int fd() const { return socket_.fd(); }

  // Sends a client's datagram on to the node that `ids` finds in `id`. False: that is this one.
  bool forward(NodeIds& ids, ByteView id, const Address& from, ByteView datagram, Milliseconds now);
  // To a client that another node hears (Address::relay).
  void answer(const Address& client, ByteView datagram);
  // Takes what other nodes have sent; at most so much that clients have their turn.
  void receive(Milliseconds now);
  void flush();

  // Tells everybody what this node has; the first endpoint does, now and then.
  void announce(ForwardKind kind, Milliseconds now);
  void expire(Milliseconds now);
  Milliseconds deadline() const { return next_announcement_; }

  FleetDirectory& directory() { return *directory_; }

 private:
  // What goes to one node: one train, where the system can.
  struct Queue {
    Address to;
    Bytes bytes;
    std::vector<size_t> lengths;
  };

  // A process that has sent clients' datagrams here: their answers go back through it, also when its
  // node ID has become another's.
  struct Relay {
    Address at;
    uint32_t node;
    Milliseconds heard;
  };
  static constexpr size_t kMostRelays = 1'024;

  void take(const ReceivedDatagram& received, Milliseconds now);
  uint32_t relayAt(const Address& at, uint32_t node, Milliseconds now);
  void hear(const ReceivedDatagram& received, const ForwardOpener::Opened& opened,
            Milliseconds now);
  void announceTo(const Address& to, ForwardKind kind);
  bool put(const Address& to, const ForwardHeader& header, ByteView address, ByteView content);
  Queue& queueOf(const Address& to);
  bool affordable(Milliseconds now);

  static constexpr Milliseconds kAnnounceEvery = 1'000;

  const std::shared_ptr<FleetDirectory> directory_;
  const FleetLinkOptions options_;
  EndpointStats& stats_;
  Owner& owner_;
  UdpSocket socket_;
  ForwardSealer sealer_;
  ForwardOpener opener_;
  std::map<uint32_t, Relay> relays_;  // by numbers that are not used again
  uint32_t last_relay_ = 0;
  std::vector<Queue> queues_;
  std::vector<OutgoingDatagram> batch_;
  Milliseconds next_announcement_ = kNever;
  // Forwards that may be made at once: a tenth of a second's.
  uint64_t allowance_ = 0;
  Milliseconds counted_ = 0;
};

}  // namespace mcbn
