// How a ServerEndpoint is a node of a fleet: what is for sessions of other nodes goes on to them, and
// what they were sent for its own comes here.
#include "base/clock.h"
#include "engine/server_endpoint.h"
#include "record/connection_id.h"

namespace mcbn {
namespace {

// After an ID was taken over, its sessions come within this time.
constexpr uint64_t kTransferTime = 60'000;

}  // namespace

SystemError ServerEndpoint::joinFleet() {
  MCBN_ASSERT(options_.fleet && node_ids_);
  FleetLink::Owner& owner = *this;
  link_ = std::make_unique<FleetLink>(options_.fleet, options_.fleet_link, stats_, owner);
  if (const SystemError error = link_->open(socket_.slab())) return error;
  detour_ = this;
  if (options_.thread_index == 0) options_.fleet->onChange(options_.announce_soon);
  return {};
}

void ServerEndpoint::watchFleet() {
  const SystemError error = services_.poller.add(link_->fd(), id_ | kFleetToken);
  link_watched_ = !error;
  if (error) report(EventKind::SocketError, error);
}

void ServerEndpoint::leaveFleet() {
  if (!link_) return;
  if (options_.thread_index == 0) options_.fleet->onChange(nullptr);
  if (link_watched_) services_.poller.remove(link_->fd());
}

void ServerEndpoint::receiveForwarded(Milliseconds now) {
  time_ = now;
  link_->receive(now);
}

void ServerEndpoint::announce(Milliseconds now) {
  if (link_) link_->announce(ForwardKind::Announcement, now);
}

// Its connection ID belongs to no session here.
void ServerEndpoint::strayed(const Address& from, ByteView id, MutableBytes datagram,
                             Milliseconds now) {
  if (link_) {
    // What another node has sent here goes no further.
    if (!from.relay() && link_->forward(*node_ids_, id, from, datagram, now)) return;
    const auto node = node_ids_->nodeOf(id);
    const auto since = node ? link_->directory().takenOver(*node) : std::nullopt;
    const bool expected = since && wallMilliseconds() < *since + kTransferTime;
    if (expected && arrivals_.hold(from, id, datagram, now)) return;
  }
  stats_.dropped_unknown_connection_id += 1;
}

void ServerEndpoint::arrived(const Address& from, MutableBytes datagram, Milliseconds now) {
  stats_.datagrams_received += 1;
  stats_.bytes_received += datagram.size();
  // Nothing else is ever sent on.
  const auto id = idIn(datagram, directory_.idLength());
  if (!id) return dropped(DropReason::Malformed);
  Association* const association = directory_.byId(*id);
  association ? routeTo(*association, from, datagram, now) : strayed(from, *id, datagram, now);
}

// The session has come: so does what came before it.
void ServerEndpoint::welcome(Association& association, Milliseconds now) {
  const uint32_t session = association.id;
  for (Arrivals::Held& held : arrivals_.take(association.connection_id)) {
    Association* const still = find(session);
    if (!still) return;
    routeTo(*still, held.from, held.datagram, now);
  }
}

void ServerEndpoint::sendOut(const Address& client, ByteView datagram) {
  const auto to = client.forFamily(options_.local.family());
  // Neither does a blocked socket have others wait.
  if (!to || blocked()) {
    stats_.dropped_sends += 1;
    return;
  }
  post(*to, datagram);
}

void ServerEndpoint::sendThrough(const Address& peer, ByteView datagram) {
  link_->answer(peer, datagram);
}

void ServerEndpoint::flushDetours() { link_->flush(); }

}  // namespace mcbn
