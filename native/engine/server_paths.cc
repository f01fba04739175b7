// A ServerEndpoint's sessions with connection IDs: found by ID, wherever their peers are, and
// followed when they move.
//
// Spec        RFC 9146 section 6 (address update), RFC 9853 (return routability check)
#include <utility>

#include "engine/server_endpoint.h"

namespace mcbn {

void ServerEndpoint::routeById(const Address& from, ByteView id, MutableBytes datagram,
                               Milliseconds now) {
  Association* const association = ids_.find(id);
  if (!association) {
    stats_.dropped_unknown_connection_id += 1;
    return;
  }
  // An address is not changed before both sides have proved the key.
  if (!association->opened && !(from == association->peer)) {
    return dropped(DropReason::ConnectionId);
  }
  enter(*association);
  origin_ = &from;
  receiveInto(*association, datagram, now);
  const bool elsewhere = association->path || !(from == association->peer);
  if (elsewhere && !association->ended && association->session.heardNewer()) {
    follow(*association, from, datagram.size(), now);
  }
  origin_ = nullptr;
  leave();
}

// `from` sent an authentic record that is newer than all before it. What was only repeated, or
// overtaken, moves nothing.
void ServerEndpoint::follow(Association& association, const Address& from, size_t bytes,
                            Milliseconds now) {
  // A peer that changes its port with every datagram makes an event of each. While JavaScript takes
  // none it stays where it is, as its messages are dropped.
  if (events_.full()) return;
  std::unique_ptr<PeerPath>& path = association.path;
  const Address confirmed = path ? path->confirmed() : association.peer;
  if (from == confirmed) {  // it is back, or never was away
    if (!(from == association.peer)) moveTo(association, from);
    path.reset();
    return;
  }
  if (!path || !(from == path->to())) {
    path = std::make_unique<PeerPath>(from, confirmed);
    if (association.session.returnRoutability()) {
      path->beginCheck(now, association.session.roundTrip());
    } else {
      moveTo(association, from);
    }
  }
  path->heard(bytes);
  checkPath(association, now);
}

// Sends the challenge that is due; gives the new address up after the last.
void ServerEndpoint::checkPath(Association& association, Milliseconds now) {
  PeerPath* const path = association.path.get();
  if (!path || !path->due(now)) return;
  if (path->failed(now)) {
    // RFC 9853 section 5.1: the address is not updated.
    stats_.address_checks_failed += 1;
    association.path.reset();
    return;
  }
  const auto cookie = path->nextChallenge(now);
  if (cookie && path->affords(association.session.pathMessageSize())) {
    association.session.challengePath(*cookie, *this);
  }
}

void ServerEndpoint::pathResponse(const PathCookie& cookie) {
  const PeerPath* const path = current_->path.get();
  if (!path || !origin_ || !(*origin_ == path->to()) || !path->answers(cookie)) return;
  if (events_.full()) return;
  const Address to = path->to();
  admission_->moved(hostKey(path->confirmed()), hostKey(to));
  current_->path.reset();
  moveTo(*current_, to);
}

void ServerEndpoint::commitReply(size_t length) {
  origin_ ? commitTo(*origin_, length) : commitDatagram(length);
}

// Only the address that the application saw: meanwhile the peer may have named another, whose owner
// has proved nothing.
void ServerEndpoint::confirmAddress(uint32_t session, const std::string& host, uint16_t port) {
  Association* const association = find(session);
  const PeerPath* const path = association ? association->path.get() : nullptr;
  if (!path || path->checking()) return;
  if (path->to().port() != port || path->to().host() != host) return;
  admission_->moved(hostKey(path->confirmed()), hostKey(path->to()));
  association->path.reset();
}

// Everything that is known by the address moves along, but for what counts by the host: whoever
// forges sender addresses must not get more places by them, nor use up those of others.
void ServerEndpoint::moveTo(Association& association, const Address& to) {
  vacate(association);
  association.peer = to;
  // Who can be found by the address only keeps the slot; so does a handshake. A session with an ID
  // that was there has left it: its port belongs to somebody else now.
  Slot& slot = slots_[to];
  const bool free = !slot.current || (slot.current->opened && slot.current->hasConnectionId());
  if (free) slot.current = &association;
  stats_.address_changes += 1;
  report(EventKind::AddressChanged, AddressEvent{to.host(), to.port()});
}

// Frees the association's place at its address, if it has one.
void ServerEndpoint::vacate(Association& association) {
  const auto found = slots_.find(association.peer);
  if (found == slots_.end()) return;
  Slot& slot = found->second;
  if (slot.candidate == &association) slot.candidate = nullptr;
  if (slot.current == &association) slot.current = std::exchange(slot.candidate, nullptr);
  if (slot.current) return;
  slots_.erase(found);
  recent_slot_ = nullptr;
}

}  // namespace mcbn
