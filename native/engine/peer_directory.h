// peer_directory.h: by what a server's datagrams find their session: a connection ID of ours, or
// the address that they come from.
//
// An address can have two associations for a while: a peer that starts anew keeps its old session
// until the new handshake is finished (RFC 6347 section 4.2.8).
//
// Ownership   a ServerEndpoint's; borrows its associations, which leave() before they end.
// Thread      the I/O thread.
// Spec        RFC 6347 section 4.2.8, RFC 9146 section 6
#pragma once

#include <unordered_map>

#include "engine/connection_id_table.h"

namespace mcbn {

class PeerDirectory {
 public:
  // At most one that is open, or on its way to be; and one that may replace it.
  struct Place {
    Association* current = nullptr;
    Association* candidate = nullptr;
  };

  // See ConnectionIdTable.
  PeerDirectory(size_t id_length, std::optional<uint8_t> thread, NodeIds* nodes = nullptr,
                uint32_t node = 0);

  size_t idLength() const { return ids_.length(); }
  Association* byId(ByteView id) const { return ids_.find(id); }
  // Asks the processor to fetch what a datagram from there will need, and waits for none of it.
  void expect(const Address& address) const;
  // Null: nobody is there. Valid until somebody enters or leaves.
  const Place* at(const Address& address);

  // Gives the association an ID by which it is found from now on; false when there is none free.
  bool giveId(Association& association) { return ids_.assign(association); }
  void takeId(Association& association) { ids_.release(association); }

  // A session that came from elsewhere is found by its ID from now on, or by its address where it
  // has none. False: it cannot be.
  bool adopt(Association& association);
  // A handshake begins at the association's address. Returns the unfinished one whose place it
  // takes, if there is one.
  Association* enter(Association& association);
  // Its handshake is finished. Returns the session whose place it takes, if there is one.
  Association* finish(Association& association);
  // It is found at `to` from now on, unless somebody who can be found by the address only is there.
  void move(Association& association, const Address& to);
  // It is found no longer, neither way.
  void leave(Association& association);

 private:
  struct SeededHash {
    size_t operator()(const Address& address) const;
    size_t seed;
  };

  void vacate(Association& association);

  ConnectionIdTable ids_;
  std::unordered_map<Address, Place, SeededHash> places_;
  // Datagrams of one peer come in trains.
  Address recent_;
  Place* recent_place_ = nullptr;  // none when that may be gone
};

}  // namespace mcbn
