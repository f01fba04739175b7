#include "engine/endpoint.h"

#include <algorithm>
#include <utility>

#include "base/few.h"
#include "record/connection_id.h"

namespace mcbn {

Endpoint::~Endpoint() {
  if (watched_) services_.poller.remove(socket_.fd());
}

SystemError Endpoint::watch() {
  const SystemError error = services_.poller.add(socket_.fd(), id_);
  watched_ = !error;
  return error;
}

// ---- sending -----------------------------------------------------------------------------------

void Endpoint::send(uint32_t session, std::span<const MutableBytes> messages, Milliseconds now) {
  Association* association = find(session);
  if (!association) return;
  time_ = now;
  enter(*association);
  touch(*association, now);
  const size_t sent = association->session.sendInPlace(messages, now, *this);
  stats_.messages_sent += sent;
  if (association->row && !association->ended) {
    stats_.dropped_unreserved_sends += messages.size() - sent;
  }
  leave();
}

void Endpoint::answer(uint32_t session, uint32_t number, PskAnswer answer,
                      std::optional<Failure> failure, Milliseconds now) {
  Association* association = find(session);
  if (!association) return;
  time_ = now;
  enter(*association);
  if (!association->opened) touch(*association, now);
  if (association->session.asks(number)) onAnswered(*association, now);
  association->session.answer(number, std::move(answer), std::move(failure), now, *this);
  leave();
}

void Endpoint::updateKeys(uint32_t session, bool both, Milliseconds now) {
  Association* association = find(session);
  if (!association) return;
  time_ = now;
  enter(*association);
  association->session.updateKeys(both, now, *this);
  leave();
}

void Endpoint::closeSession(uint32_t session) {
  Association* association = find(session);
  if (!association) return;
  enter(*association);
  association->session.close(*this);
  association->ended = true;
  leave();
}

bool Endpoint::exportSession(uint32_t session, SessionSeal& seal, Milliseconds now, Bytes& out) {
  Association* const association = find(session);
  return association && takeAway(*association, seal, nullptr, now, out);
}

bool Endpoint::takeAway(Association& association, SessionSeal& seal, const RowName* row,
                        Milliseconds now, Bytes& out) {
  if (association.ended || association.unannounced || !association.session.portable()) return false;
  enter(association);
  const Milliseconds silence = now - std::min(now, association.active);
  // An address that is not confirmed may be a stranger's: the peer is heard again at its own.
  const AddressBytes peer = association.confirmedAddress().unmapped().bytes();
  const bool sealed = seal.seal({association.session.takeState(now), peer, silence}, out,
                                row ? ByteView(*row) : ByteView());
  if (sealed) {
    association.ended = true;
  } else {
    ended(Failure{.message = "OpenSSL could not seal the session"});
  }
  leave();
  return sealed;
}

void Endpoint::touch(Association& association, Milliseconds now) {
  if (association.active == now) return;
  association.active = now;
  onActive(association);
}

// What cannot be authenticated is no sign of life: a stranger could keep a dead session open with
// it.
void Endpoint::receiveInto(Association& association, std::span<const MutableBytes> datagrams,
                           Milliseconds now) {
  if (!association.opened) touch(association, now);
  const uint64_t messages = association.session.stats().messages_received;
  association.session.receive(datagrams, now, *this);
  const bool heard = association.session.stats().messages_received != messages;
  if (heard) touch(association, now);
}

std::optional<ByteView> Endpoint::idIn(ByteView datagram, size_t id_length) const {
  if (const auto id = connectionIdOf(datagram, id_length)) return id;
  return speaks13_ ? dtls13::connectionIdOf(datagram, id_length) : std::nullopt;
}

size_t Endpoint::trainLength(std::span<const ReceivedDatagram> datagrams, size_t id_length) const {
  struct Beginning {
    bool data = false;  // or an ID alone says whose it is
    ByteView id = {};

    bool operator==(const Beginning& other) const {
      return data == other.data && std::ranges::equal(id, other.id);
    }
  };
  const auto beginning = [&](const ReceivedDatagram& received) -> Beginning {
    const ByteView bytes = received.datagram;
    if (received.truncated || bytes.empty()) return {};
    if (bytes[0] == content_type::kApplicationData) return {.data = true};
    if (const auto id = idIn(bytes, id_length)) return {.id = *id};
    return {.data = speaks13_ && dtls13::isEncrypted(bytes[0])};
  };
  const Beginning first = beginning(datagrams.front());
  if (first == Beginning()) return 0;
  size_t count = 1;
  while (count < std::min(datagrams.size(), kTrain) &&
         datagrams[count].from == datagrams.front().from && beginning(datagrams[count]) == first) {
    count += 1;
  }
  return count;
}

void Endpoint::receiveTrain(Association& association, std::span<const ReceivedDatagram> train,
                            Milliseconds now) {
  Few<MutableBytes, kTrain> datagrams;
  for (const ReceivedDatagram& received : train) {
    datagrams.add(received.datagram);
    stats_.datagrams_received += 1;
    stats_.bytes_received += received.datagram.size();
  }
  receiveInto(association, datagrams.items(), now);
}

void Endpoint::post(const Address& to, ByteView datagram) {
  Arena& arena = outgoing();
  outbox_.push_back({nullptr, arena.size(), datagram.size(), to});
  arena.append(datagram);
}

Arena& Endpoint::outgoing() {
  if (outgoing_.capacity() == 0) std::swap(outgoing_, services_.spare);
  return outgoing_;
}

void Endpoint::flush() {
  if (outbox_.empty()) return;
  if (detour_) takeDetours();
  const bool connected = socket_.connected();
  services_.batch.clear();
  for (size_t i = sent_; i < outbox_.size(); ++i) {
    const Waiting& waiting = outbox_[i];
    services_.batch.push_back({bytesOf(waiting), connected ? nullptr : &waiting.to});
  }
  SystemError refused;
  IoStatus status = IoStatus::Ok;
  // Once over the outbox, however many of its datagrams the system refuses: strangers choose where
  // they are sent.
  for (std::span<const OutgoingDatagram> rest = services_.batch;
       !rest.empty() && status != IoStatus::Again;) {
    const SendResult result = socket_.sendBatch(rest);
    for (const OutgoingDatagram& sent : rest.first(result.sent)) {
      stats_.datagrams_sent += 1;
      stats_.bytes_sent += sent.datagram.size();
    }
    rest = rest.subspan(result.sent);
    sent_ += result.sent;
    status = result.status;
    if (status != IoStatus::Error) continue;
    // Lost, as any datagram may be: DTLS has retransmission for what must arrive.
    rest = rest.subspan(1);
    sent_ += 1;
    stats_.dropped_sends += 1;
    refused = result.error;
  }
  if (status == IoStatus::Again) {
    keepLent();
    setBlocked(true);
  } else {
    outbox_.clear();
    outgoing_.clear();
    if (outgoing_.capacity() > services_.spare.capacity()) std::swap(outgoing_, services_.spare);
    outgoing_ = Arena();
    sent_ = 0;
    setBlocked(false);
  }
  if (refused) onSendError(refused);  // last: it may end the session, which may write
}

void Endpoint::takeDetours() {
  const auto waiting = outbox_.begin() + static_cast<ptrdiff_t>(sent_);
  const auto direct = std::remove_if(waiting, outbox_.end(), [this](const Waiting& each) {
    if (!each.to.relay()) return false;
    detour_->sendThrough(each.to, bytesOf(each));
    stats_.datagrams_sent += 1;
    stats_.bytes_sent += each.length;
    return true;
  });
  if (direct == outbox_.end()) return;
  outbox_.erase(direct, outbox_.end());
  detour_->flushDetours();
}

// What waits longer than its frame is copied after all.
void Endpoint::keepLent() {
  for (size_t i = sent_; i < outbox_.size(); ++i) {
    Waiting& waiting = outbox_[i];
    if (!waiting.lent) continue;
    Arena& arena = outgoing();
    const size_t offset = arena.size();
    arena.append({waiting.lent, waiting.length});
    waiting.lent = nullptr;
    waiting.offset = offset;
  }
}

void Endpoint::setBlocked(bool blocked) {
  if (blocked_ == blocked) return;
  blocked_ = blocked;
  services_.poller.setWritable(socket_.fd(), blocked);
}

// ---- what sessions report ----------------------------------------------------------------------

void Endpoint::report(EventKind kind, EventDetail detail) {
  events_.filling().add(kind, id_, current_ ? current_->id : 0, std::move(detail));
}

// Null: there is no address that may be sent so much.
const Address* Endpoint::destination(size_t length) {
  PeerPath* const path = current_->path.get();
  if (!path) return &current_->peer;
  if (path->spend(length)) return &path->to();
  // Under a check the peer is still bound to the address known before.
  if (path->checking()) return &path->confirmed();
  stats_.dropped_unconfirmed += 1;
  return nullptr;
}

void Endpoint::datagram(ByteView bytes) {
  if (const Address* const to = destination(bytes.size())) post(*to, bytes);
}

uint8_t* Endpoint::reserveDatagram(size_t capacity) { return outgoing().reserve(capacity); }

void Endpoint::commitDatagram(size_t length) {
  if (const Address* const to = destination(length)) commitTo(*to, length);
}

void Endpoint::commitTo(const Address& to, size_t length) {
  outbox_.push_back({nullptr, outgoing_.size(), length, to});
  outgoing_.commit(length);
}

void Endpoint::lendDatagram(ByteView bytes) {
  const Address* const to = destination(bytes.size());
  if (to) outbox_.push_back({bytes.data(), 0, bytes.size(), *to});
}

uint8_t* Endpoint::reserveMessage(size_t capacity) { return events_.reserveMessage(capacity); }

void Endpoint::commitMessage(size_t length) {
  EventBatch& batch = events_.filling();
  stats_.messages_received += 1;
  if (events_.full()) {
    stats_.dropped_messages += 1;
    current_->undelivered += 1;
    return;
  }
  const auto offset = static_cast<uint32_t>(batch.messages.size());
  batch.messages.commit(length);
  batch.rows.push_back(
      {EventKind::Message, id_, current_->id, offset, static_cast<uint32_t>(length)});
}

void Endpoint::opened(const Opened& opened, size_t max_message) {
  if (!onOpened(*current_)) {
    current_->unplaced = true;
    return;
  }
  current_->opened = true;
  stats_.handshakes_completed += 1;
  services_.free_memory.handshakeEnded();
  report(EventKind::Opened, openedEvent(*current_, opened, max_message));
}

OpenedEvent Endpoint::openedEvent(const Association& association, Opened opened,
                                  size_t max_message) {
  const Session& session = association.session;
  const ByteView own = session.ownConnectionId();
  const ByteView peers = session.peerConnectionId();
  return {std::move(opened),
          association.peer.host(),
          association.peer.port(),
          max_message,
          std::string(own.begin(), own.end()),
          std::string(peers.begin(), peers.end()),
          session.returnRoutability()};
}

OpenedEvent Endpoint::openedEvent(const Association& association, size_t mtu) {
  const Session& session = association.session;
  return openedEvent(association, session.describe(), session.maxMessage(mtu));
}

void Endpoint::question(const PskQuestion& question) {
  report(EventKind::Question,
         QuestionEvent{question, current_->peer.host(), current_->peer.port(), current_->lookup});
}

void Endpoint::ended(const std::optional<Failure>& failure) {
  if (current_->ended) return;
  current_->ended = true;
  if (!current_->opened) {
    stats_.handshakes_failed += 1;
    services_.free_memory.handshakeEnded();
  }
  if (current_->opened && !failure) {
    events_.filling().addPlain(EventKind::Ended, id_, current_->id);
    return;
  }
  // Strangers' failures must not keep the news of others out of a blocked event loop's queue. Where
  // a key was asked for, JavaScript waits for the outcome.
  if (!current_->opened && current_->lookup == 0 && events_.refusalsFull()) {
    stats_.dropped_refusals += 1;
    return;
  }
  report(current_->opened ? EventKind::Ended : EventKind::Refused,
         EndedEvent{failure, current_->peer.host(), current_->peer.port()});
}

void Endpoint::keylog(const std::string& line) { report(EventKind::Keylog, line); }

void Endpoint::dropped(DropReason reason) {
  stats_.dropped_records[static_cast<size_t>(reason)] += 1;
}

}  // namespace mcbn
