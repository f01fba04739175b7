#include "engine/server_endpoint.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/clock.h"

namespace mcbn {
namespace {

// Then deadlines, tasks and others have their turn. A batch may be 4,096 of them (UDP_GRO).
constexpr size_t kDatagramsPerTurn = 2'048;

// Bytes of a record's header in front of the Connection ID (RFC 9146 section 4).
constexpr uint8_t kConnectionIdOffset = 11;
// 0011xxxx: a record of DTLS 1.3 with one (RFC 9147 section 4).
constexpr uint8_t kWithId13 = 0x30, kWithId13Mask = 0xf0;

}  // namespace

ServerEndpoint::ServerEndpoint(uint32_t id, IoServices& services,
                               std::shared_ptr<const Context> context, ServerOptions options)
    : Endpoint(id, services),
      context_(std::move(context)),
      options_(std::move(options)),
      cookies_(options_.cookie_secret),
      node_ids_(options_.node ? std::make_unique<NodeIds>(options_.node->form, options_.node->key)
                              : nullptr),
      directory_(options_.dtls.connection_id.value_or(0),
                 options_.threads > 1 ? std::optional(static_cast<uint8_t>(options_.thread_index))
                                      : std::nullopt,
                 node_ids_.get(), options_.node ? options_.node->node : 0),
      admission_(options_.admission ? options_.admission
                                    : std::make_shared<Admission>(AdmissionLimits{})),
      member_(std::move(options_.evict_soon)),
      opened_hellos_(options_.cookie_secret),
      mobility_(directory_, *admission_, stats_, *this) {
  speaks13_ = options_.dtls13 != nullptr;
  if (speaks13_) {
    cookies13_ = std::make_unique<dtls13::CookieExchange>(options_.dtls13, options_.cookie_secret);
    whole_.reserve(dtls13::kPlaintextHeaderBytes + kDtlsHandshakeHeaderBytes +
                   kMaxClientHelloBytes);
  }
  OPENSSL_cleanse(options_.cookie_secret.data(), options_.cookie_secret.size());
  if (options_.node) OPENSSL_cleanse(options_.node->key.data(), options_.node->key.size());
  if (!options_.row_key.empty()) {
    keepRows(std::make_unique<SessionSeal>(options_.row_key), options_.dtls.mtu);
    OPENSSL_cleanse(options_.row_key.data(), options_.row_key.size());
  }
  admission_->join(member_);
}

ServerEndpoint::~ServerEndpoint() {
  leaveFleet();
  admission_->leave(member_);
}

SystemError ServerEndpoint::open() {
  if (!cookies_.usable() || (cookies13_ && !cookies13_->usable()))
    return {.code = EIO, .call = "HMAC"};
  const bool first = options_.thread_index == 0;
  const bool alone = options_.threads <= 1;
  UdpOptions udp = options_.udp;
  if (!first) udp.reusePort = true;
  if (const SystemError error = socket_.open(options_.local, udp)) return error;
  if (first && !alone) balanced_ = !socket_.beginGroup();
  // A record with a connection ID (RFC 9146 section 4, RFC 9147 section 4) comes from whatever address; the ID begins
  // with the index of the thread that gave it. Where the port is shared with other programs
  // (reusePort) nobody knows a socket's place in the group, so the hash has to do; it has to as
  // well on a system that knows no such programs.
  const bool last = options_.thread_index + 1 == options_.threads;
  if (last && !alone && !options_.udp.reusePort) {
    constexpr SteeredForm kForms[] = {{content_type::kTls12Cid, kConnectionIdOffset},
                                      {kWithId13, 1, kWithId13Mask}};
    socket_.steerGroup(std::span(kForms).first(speaks13_ ? 2 : 1),
                       node_ids_ ? NodeIdForm::kThreadMask : 0xff);
  }
  return options_.fleet ? joinFleet() : SystemError();
}

void ServerEndpoint::start() {
  if (const SystemError error = watch()) report(EventKind::SocketError, error);
  if (link_) watchFleet();
}

// ---- receiving ---------------------------------------------------------------------------------

void ServerEndpoint::receive(Milliseconds now) {
  time_ = now;
  for (size_t taken = 0; taken < kDatagramsPerTurn;) {
    const ReceiveResult result = socket_.receiveBatch();
    taken += result.datagrams.size();
    if (result.status == IoStatus::Again) return;
    if (result.status == IoStatus::Error) {
      // ICMP errors do not show on an unconnected socket; what does show concerns the socket
      // itself.
      report(EventKind::SocketError, result.error);
      return;
    }
    expect(result.datagrams);
    for (auto rest = result.datagrams; !rest.empty();) {
      const size_t together = routeTrain(rest, now);
      if (together == 0) routeOne(rest.front(), now);
      rest = rest.subspan(std::max<size_t>(together, 1));
    }
    flush();
    if (link_) link_->flush();
    if (blocked() || !result.more) return;
  }
}

// Of a thousand sessions hardly one is in a cache. Each would be waited for in its turn; these come together.
void ServerEndpoint::expect(std::span<const ReceivedDatagram> datagrams) const {
  if (datagrams.empty() || datagrams.front().from == datagrams.back().from) return;
  for (const ReceivedDatagram& datagram : datagrams) directory_.expect(datagram.from);
}

// Several datagrams of one open session, all by what the first is found by; how many. 0: they are
// routed one by one, as what may change where the others belong.
size_t ServerEndpoint::routeTrain(std::span<const ReceivedDatagram> datagrams, Milliseconds now) {
  const size_t count = trainLength(datagrams, directory_.idLength());
  if (count < 2) return 0;
  const ReceivedDatagram& first = datagrams.front();
  Association* association = nullptr;
  if (const auto id = idIn(first.datagram, directory_.idLength())) {
    association = directory_.byId(*id);
  } else if (const auto* const place = directory_.at(first.from); place && !place->candidate) {
    association = place->current;
  }
  const bool settled =
      association && association->opened && !association->path && first.from == association->peer;
  if (!settled) return 0;
  enter(*association);
  origin_ = &first.from;
  receiveTrain(*association, datagrams.first(count), now);
  origin_ = nullptr;
  leave();
  return count;
}

void ServerEndpoint::routeOne(const ReceivedDatagram& received, Milliseconds now) {
  stats_.datagrams_received += 1;
  stats_.bytes_received += received.datagram.size();
  // An empty datagram would read as the end of the connection.
  if (received.datagram.empty() || received.truncated) return dropped(DropReason::Malformed);
  route(received.from, received.datagram, now);
}

void ServerEndpoint::route(const Address& from, MutableBytes datagram, Milliseconds now) {
  // Port 0 cannot be answered (RFC 768); the attempt would fail like a train of datagrams that the
  // system cannot take, and have the socket send no more trains.
  if (from.port() == 0) {
    stats_.dropped_unknown_peer += 1;
    return;
  }
  if (const auto id = idIn(datagram, directory_.idLength())) {
    Association* const association = directory_.byId(*id);
    return association ? routeTo(*association, from, datagram, now)
                       : strayed(from, *id, datagram, now);
  }
  if (greet(from, datagram, now)) return;
  const PeerDirectory::Place* const place = directory_.at(from);
  if (!place) {
    stats_.dropped_unknown_peer += 1;
    return;
  }
  Association& chosen = *chooseFor(*place, datagram);
  const bool shared = &chosen != place->current && speaks13_ && dtls13::isEncrypted(datagram[0]) &&
                      place->current->session.updatedTo(datagram[0] & dtls13::kEpochBits);
  if (shared && takenBy(*place->current, datagram, now)) return;
  deliver(chosen, datagram, now);
}

// Two bits tell one epoch in four (RFC 9147 section 4.2.2): an open session's sixth looks like a
// newcomer's Finished. Whether the open session has had it; else the datagram is as it was.
bool ServerEndpoint::takenBy(Association& current, MutableBytes datagram, Milliseconds now) {
  Bytes copy(datagram.begin(), datagram.end());
  const uint64_t refused = current.session.stats().dropped.of(DropReason::BadMac);
  const uint32_t id = current.id;
  deliver(current, copy, now);
  const Association* const still = find(id);
  return !still || still->session.stats().dropped.of(DropReason::BadMac) == refused;
}

void ServerEndpoint::routeTo(Association& association, const Address& from, MutableBytes datagram,
                             Milliseconds now) {
  // An address is not changed before both sides have proved the key.
  if (!association.opened && !(from == association.peer)) {
    return dropped(DropReason::ConnectionId);
  }
  enter(association);
  origin_ = &from;
  receiveInto(association, datagram, now);
  const bool elsewhere = association.path || !(from == association.peer);
  if (association.unheard && association.session.heardMessage()) {
    association.unheard = false;
    if (elsewhere && !association.ended)
      mobility_.heardFirst(association, from, datagram.size(), now);
  } else if (elsewhere && !association.ended && association.session.heardNewer()) {
    mobility_.heard(association, from, datagram.size(), now);
  }
  origin_ = nullptr;
  leave();
}

// Of two associations of one address, the one that can use the datagram. Epoch 0 is the newcomer's;
// so are encrypted handshake records once it awaits a Finished, before that they ask for the open
// session's last flight again. Everything else belongs to the session that is open.
Association* ServerEndpoint::chooseFor(const PeerDirectory::Place& place, ByteView datagram) const {
  if (!place.candidate) return place.current;
  // Of DTLS 1.3 the epoch's lowest bits tell: in epoch 2 the newcomer's Finished comes.
  if (speaks13_ && dtls13::isEncrypted(datagram[0])) {
    const bool newcomers = (datagram[0] & dtls13::kEpochBits) == 2 &&
                           place.candidate->session.speaks13() &&
                           place.candidate->session.awaitsFinished();
    return newcomers || !place.current->session.speaks13() ? place.candidate : place.current;
  }
  ByteView rest = datagram;
  const auto record = nextRecord(rest);
  if (!record) return place.current;
  const bool newcomers = record->epoch == 0 || (record->type == content_type::kHandshake &&
                                                place.candidate->session.awaitsFinished());
  return newcomers ? place.candidate : place.current;
}

void ServerEndpoint::deliver(Association& association, MutableBytes datagram, Milliseconds now) {
  enter(association);
  receiveInto(association, datagram, now);
  leave();
}

bool ServerEndpoint::onOpened(Association& association) {
  pace_.proved(association.peer);
  opened_hellos_.remember(association.peer.bytes().view(), association.random, wallSeconds());
  waitsNoMore(association);
  if (association.session.ownConnectionId().empty()) directory_.takeId(association);
  // RFC 6347 section 4.2.8: only a finished handshake may take the old session's place.
  if (Association* const old = directory_.finish(association)) {
    // Another device behind the same NAT may have been given the port: the one that had it before
    // can still be found by its ID. The same identity is the same device, which has restarted.
    const bool moved_away =
        old->hasConnectionId() && old->session.identity() != association.session.identity();
    if (!moved_away) {
      endWith(*old, {.code = "MCBN_CONNECTION_LOST",
                     .message = "the peer connected anew from the same address and port"});
    }
  }
  const Milliseconds now = association.active;
  if (!admission_->opened(member_, hostKey(association.peer), now)) return false;
  if (admission_->evicts()) {
    evict(now);
    recency_.touch(association);
    tellSilence();
  }
  return true;
}

// ---- peers that move ---------------------------------------------------------------------------

void ServerEndpoint::challenge(Association& association, const PathCookie& cookie) {
  association.session.challengePath(cookie, *this);
}

void ServerEndpoint::pathResponse(const PathCookie& cookie) {
  if (origin_) mobility_.answered(*current_, *origin_, cookie);
}

void ServerEndpoint::commitReply(size_t length) {
  origin_ ? commitTo(*origin_, length) : commitDatagram(length);
}

void ServerEndpoint::addressChanged(Association& association) {
  MCBN_ASSERT(&association == current_);
  association.session.rowOutdated();
  report(EventKind::AddressChanged, AddressEvent{association.peer.host(), association.peer.port()});
}

void ServerEndpoint::confirmAddress(uint32_t session, const std::string& host, uint16_t port) {
  if (Association* const association = find(session)) mobility_.confirm(*association, host, port);
}

// ---- time --------------------------------------------------------------------------------------

Milliseconds ServerEndpoint::deadline() const {
  const Milliseconds announcement = link_ ? link_->deadline() : kNever;
  return std::min({deadlines_.next(), waitingDeadline(), announcement});
}

void ServerEndpoint::expire(Milliseconds now) {
  time_ = now;
  if (link_) link_->expire(now);
  endOverdue(now);
  while (const auto due = deadlines_.pop(now)) {
    Association* association = find(*due);
    if (!association) continue;
    association->looked_at = kNever;
    enter(*association);
    if (association->session.deadline() <= now) association->session.expire(now, *this);
    mobility_.check(*association, now);
    if (!association->ended && idleDeadline(*association) <= now) {
      association->session.close(*this);
      ended(Failure{.code = "MCBN_IDLE_TIMEOUT",
                    .message = "nothing was sent or received for " +
                               std::to_string(options_.idle_timeout) + " ms (idleTimeout)"});
    }
    leave();
  }
}

Milliseconds ServerEndpoint::idleDeadline(const Association& association) const {
  const bool counts = options_.idle_timeout > 0 && association.opened;
  return counts ? association.active + options_.idle_timeout : kNever;
}

// ---- ending ------------------------------------------------------------------------------------

Association* ServerEndpoint::find(uint32_t session) {
  const auto found = associations_.find(session);
  return found == associations_.end() ? nullptr : found->second.get();
}

void ServerEndpoint::leave() {
  if (current_->unplaced && !current_->ended) {
    stats_.dropped_limit += 1;
    current_->session.close(*this);
    ended(Failure{.code = "MCBN_HANDSHAKE_FAILED",
                  .message = "there is no place for it: maxSessions are open, and none of them "
                             "was silent for evictAfter"});
  }
  Association* const association = current_;
  if (keepsRows() && !association->ended) keepRow(*association);
  current_ = nullptr;
  if (association->ended) return drop(*association);
  const Milliseconds session =
      std::min(association->session.deadline(), association->session.rowDeadline());
  const Milliseconds path = association->path ? association->path->deadline() : kNever;
  const Milliseconds deadline = std::min({session, path, idleDeadline(*association)});
  if (deadline >= association->looked_at) return;
  association->looked_at = deadline;
  deadlines_.set(association->id, deadline);
}

void ServerEndpoint::endWith(Association& association, const Failure& failure) {
  Association* const outer = current_;
  enter(association);
  association.session.close(*this);
  ended(failure);
  drop(association);
  current_ = outer;
}

void ServerEndpoint::drop(Association& association) {
  const std::string host = hostKey(association.confirmedAddress());
  if (association.opened) {
    admission_->sessionEnded(host, association.displaced);
  } else {
    admission_->handshakeEnded(host);
  }
  if (!association.opened) {
    rememberRefusal(association);
    waitsNoMore(association);
  } else if (recency_.contains(association)) {
    recency_.erase(association);
    tellSilence();
  }
  directory_.leave(association);
  deadlines_.erase(association.id);
  forgetRow(association);
  associations_.erase(association.id);
  stats_.sessions = associations_.size();
}

void ServerEndpoint::closeAll(Goodbye goodbye) {
  while (!associations_.empty()) {
    if (goodbye == Goodbye::Yes) {
      closeSession(associations_.begin()->first);
    } else {
      drop(*associations_.begin()->second);
    }
  }
}

void ServerEndpoint::setKeylog(bool on) {
  options_.dtls.keylog = on;
  for (auto& [id, association] : associations_) association->session.setKeylog(on);
}

}  // namespace mcbn
