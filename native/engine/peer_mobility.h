// peer_mobility.h: follows peers with a connection ID to other addresses.
//
//   authentic, newest, from elsewhere --heard()--> a PeerPath: at most three times what came
//        both check return routability --check()--> challenges --answered()--> moved
//        else                                        moved at once, confirm() lifts the limit
//
// Ownership   a ServerEndpoint's; borrows what it is made with, all of it the endpoint's too.
// Thread      the I/O thread.
// Spec        RFC 9146 section 6 (address update), RFC 9853 (return routability check)
#pragma once

#include <string>

#include "engine/admission.h"
#include "engine/peer_directory.h"

namespace mcbn {

class PeerMobility {
 public:
  // What the endpoint does for it.
  class Owner {
   public:
    // Whether addressChanged() would be heard: while JavaScript takes nothing, peers stay where
    // they are. One that changes its port with every datagram makes an event of each.
    virtual bool listened() const = 0;
    virtual void addressChanged(Association& association) = 0;
    virtual void challenge(Association& association, const PathCookie& cookie) = 0;

   protected:
    ~Owner() = default;
  };

  PeerMobility(PeerDirectory& directory, Admission& admission, EndpointStats& stats, Owner& owner)
      : directory_(directory), admission_(admission), stats_(stats), owner_(owner) {}

  // `from` sent an authentic datagram of so many bytes, newer than all before it. What was only
  // repeated, or overtaken, moves nothing.
  void heard(Association& association, const Address& from, size_t bytes, Milliseconds now);
  // The same of a session that came from another node of a fleet: its first message here, the newest or
  // not. Where that node heard the peer, the peer may not hear this one: only what came here tells of a
  // way back.
  void heardFirst(Association& association, const Address& from, size_t bytes, Milliseconds now);
  // Sends the challenge that is due; gives the new address up after the last.
  void check(Association& association, Milliseconds now);
  // `from` sent an answer to a challenge.
  void answered(Association& association, const Address& from, const PathCookie& cookie);
  // The application knows that the peer is at this address. Without effect if it has moved on.
  void confirm(Association& association, const std::string& host, uint16_t port);

 private:
  void beginPath(Association& association, const Address& from, const Address& confirmed,
                 Milliseconds now);
  void moveTo(Association& association, const Address& to);
  void believe(Association& association);

  PeerDirectory& directory_;
  Admission& admission_;
  EndpointStats& stats_;
  Owner& owner_;
};

}  // namespace mcbn
