#include "dtls13/open_association.h"

#include <algorithm>

#include "record/dtls_record.h"

namespace mcbn::dtls13 {
namespace {

// Twice the MSL of RFC 793 (RFC 9147 section 5.8.1).
constexpr Milliseconds kTwiceMsl = 240'000;

Failure unexpected(const char* message) {
  return handshakeFailure(
      alert::kUnexpectedMessage,
      std::string("the peer sent ") + message + " where none may come (RFC 9147 section 9)",
      "MCBN_PROTOCOL_ERROR");
}

Failure exhausted() {
  return {.code = "MCBN_CONNECTION_LOST",
          .message =
              "the session's keys have protected, or refused, as many records as is safe (RFC 9147 "
              "section 4.5.3) and the peer acknowledges no new ones, or it has had 65,536 messages "
              "of the handshake (section 5.2); connect again",
          .reason = {},
          .alert = alert::kCloseNotify};
}

}  // namespace

bool OpenAssociation::begin(Messages& messages, SessionStep& step) {
  messages.speakIn(3);
  read_since_ = write_since_ = step.now;
  if (role_ == Role::Server) forget_at_ = step.now + kTwiceMsl;
  return messages.records().startReading(3, *agreed_.suite, agreed_.read) &&
         messages.records().startWriting(3, *agreed_.suite, agreed_.write);
}

void OpenAssociation::expire(Milliseconds now, Messages& messages) {
  if (forget_at_ > now) return;
  forget_at_ = kNever;
  messages.records().stopReading(2);
  messages.records().stopWriting(2);
  if (read_epoch_ == 3) agreed_.older.reset();
  messages.records().release();
}

std::optional<Failure> OpenAssociation::take(uint8_t type, uint64_t epoch, ByteView body,
                                             Messages& messages, SessionStep& step) {
  switch (epoch < 3 ? 0 : type) {
    case message_type::kNewSessionTicket:
      // Acknowledged and dropped: a ticket would outlive the key that it stands for.
      return role_ == Role::Client ? std::nullopt : std::optional(unexpected("a NewSessionTicket"));
    case message_type::kKeyUpdate:
      return takeKeyUpdate(epoch, body, messages, step);
    case message_type::kNewConnectionId:
      return takeNewIds(body, messages);
    case message_type::kRequestConnectionId:
      if (body.size() != 1) return malformed("RequestConnectionId", alert::kDecodeError);
      // To a peer that puts no ID into its records there is nothing to give (RFC 9147 section 9).
      if (messages.records().ownIds().empty()) return unexpected("a RequestConnectionId");
      // The owner of the IDs has given none: an answer without any is allowed, and ends the request.
      if (!messages.waits(message_type::kNewConnectionId))
        giveConnectionIds({}, false, messages, step);
      return std::nullopt;
    default:
      return unexpected("a message of the handshake");
  }
}

std::optional<Failure> OpenAssociation::takeKeyUpdate(uint64_t epoch, ByteView body,
                                                      Messages& messages, SessionStep& step) {
  bool requested = false;
  if (const Fault fault = parseKeyUpdate(body, requested)) return malformed("KeyUpdate", *fault);
  // RFC 9147 section 8: none follows before the one before it is acknowledged and in use.
  if (epoch != read_epoch_ || read_epoch_ == OpenState13::kLastEpoch)
    return unexpected("a KeyUpdate");
  Secret next = nextTrafficSecret(agreed_.suite->hash, agreed_.read);
  if (next.empty() || !messages.records().startReading(read_epoch_ + 1, *agreed_.suite, next)) {
    return outOfMemory();
  }
  // Records under way, and a KeyUpdate whose ACK is lost, still come in the epoch before.
  if (read_epoch_ > 3) messages.records().stopReading(read_epoch_ - 1);
  agreed_.older = std::exchange(agreed_.read, std::move(next));
  read_epoch_ += 1;
  read_since_ = step.now;
  step.stats.key_updates_received += 1;
  // RFC 8446 section 4.6.3. One that was sent before may have crossed this one, and does not count.
  if (requested) enqueue(message_type::kKeyUpdate, {0}, messages, step);
  return std::nullopt;
}

std::optional<Failure> OpenAssociation::takeNewIds(ByteView body, Messages& messages) {
  // RFC 9147 section 9: only from a peer that wants an ID in our records.
  if (messages.records().peerId().empty()) return unexpected("a NewConnectionId");
  bool immediate = false;
  std::vector<Bytes> ids;
  const Fault fault = parseNewConnectionId(body, immediate, [&](ByteView id) {
    if (ids.size() <= OpenState13::kMostSpareIds) ids.emplace_back(id.begin(), id.end());
  });
  if (fault) return malformed("NewConnectionId", *fault);
  if (std::ranges::any_of(ids, &Bytes::empty)) {
    return malformed("NewConnectionId", alert::kIllegalParameter);
  }
  requested_ = false;
  if (immediate && !ids.empty()) {
    messages.records().setPeerId(std::move(ids.front()));
    ids.erase(ids.begin());
    spare_ids_.clear();
  }
  for (Bytes& id : ids) {
    if (spare_ids_.size() < OpenState13::kMostSpareIds) spare_ids_.push_back(std::move(id));
  }
  return std::nullopt;
}

// ---- messages of ours --------------------------------------------------------------------------

WaitingMessage* OpenAssociation::queued(uint8_t type) {
  const auto found = std::ranges::find(queue_, type, &WaitingMessage::type);
  return found == queue_.end() ? nullptr : &*found;
}

void OpenAssociation::enqueue(uint8_t type, Bytes body, Messages& messages, SessionStep& step) {
  WaitingMessage* const before = queued(type);
  if (!before) {
    queue_.push_back({type, std::move(body)});
  } else if (type == message_type::kKeyUpdate) {
    before->body[0] |= body[0];  // one for both, and for the peer too if either asks
  }
  proceed(messages, step);
}

std::optional<Failure> OpenAssociation::proceed(Messages& messages, SessionStep& step) {
  if (messages.waiting()) return checkWear(messages, step);
  if (role_ == Role::Client && messages.records().reads(2) && write_epoch_ == 3 &&
      forget_at_ == kNever) {
    forget_at_ = step.now;  // the Finished is acknowledged: expire() forgets epoch 2
    expire(step.now, messages);
  }
  if (std::exchange(updating_, false)) {
    // RFC 9147 section 8: the new keys only after the ACK.
    Secret next = nextTrafficSecret(agreed_.suite->hash, agreed_.write);
    if (next.empty() || !messages.records().startWriting(write_epoch_ + 1, *agreed_.suite, next)) {
      return outOfMemory();
    }
    agreed_.write = std::move(next);
    write_epoch_ += 1;
    write_since_ = step.now;
    step.stats.key_updates_sent += 1;
  }
  if (messages.epoch() != write_epoch_) {
    // With a session store the keys before serve until it knows of the new ones.
    if (!messages.records().mayWrite(write_epoch_)) return checkWear(messages, step);
    messages.records().stopWriting(messages.epoch());
    messages.speakIn(write_epoch_);
  }
  if (!queue_.empty() && !messages.mayPost()) return exhausted();
  if (!queue_.empty()) {
    WaitingMessage next = std::move(queue_.front());
    queue_.erase(queue_.begin());
    updating_ = next.type == message_type::kKeyUpdate;
    messages.post(write_epoch_, next.type, std::move(next.body));
    messages.send(step);
  }
  return checkWear(messages, step);
}

std::optional<Failure> OpenAssociation::checkWear(Messages& messages, SessionStep& step) {
  const KeyWear written = messages.records().writeWear(messages.epoch());
  const KeyWear read = messages.records().readWear(read_epoch_);
  if (written == KeyWear::Spent || read == KeyWear::Spent) return exhausted();
  const bool both = read == KeyWear::Renew || older(read_since_, 2 * renew_after_, step.now);
  const bool ours = written == KeyWear::Renew || older(write_since_, renew_after_, step.now);
  const bool updating = updating_ || messages.epoch() != write_epoch_;
  if (updating || (!both && !ours)) return std::nullopt;
  if (!queued(message_type::kKeyUpdate)) updateKeys(both, messages, step);
  return std::nullopt;
}

void OpenAssociation::updateKeys(bool both, Messages& messages, SessionStep& step) {
  if (write_epoch_ == OpenState13::kLastEpoch) return;
  enqueue(message_type::kKeyUpdate, {static_cast<uint8_t>(both)}, messages, step);
}

bool OpenAssociation::giveConnectionIds(std::vector<Bytes> ids, bool immediate, Messages& messages,
                                        SessionStep& step) {
  std::vector<Bytes> all = messages.records().ownIds();
  if (all.empty() || queued(message_type::kNewConnectionId) ||
      all.size() + ids.size() > OpenState13::kMostOwnIds)
    return false;
  Bytes body;
  writeNewConnectionId(ids, immediate, body);
  for (Bytes& id : ids) {
    if (id.size() != all.front().size()) return false;
    all.push_back(std::move(id));
  }
  messages.records().setOwnIds(std::move(all));
  enqueue(message_type::kNewConnectionId, std::move(body), messages, step);
  return true;
}

bool OpenAssociation::requestConnectionIds(uint8_t count, Messages& messages, SessionStep& step) {
  if (messages.records().peerId().empty() || requested_) return false;
  requested_ = true;
  enqueue(message_type::kRequestConnectionId, {count}, messages, step);
  return true;
}

bool OpenAssociation::useSpareId(Messages& messages) {
  if (spare_ids_.empty()) return false;
  messages.records().setPeerId(std::move(spare_ids_.front()));
  spare_ids_.erase(spare_ids_.begin());
  return true;
}

// ---- return routability (RFC 9853) -------------------------------------------------------------

Bytes OpenAssociation::pathRecord(PathMessageType type, const PathCookie& cookie,
                                  Messages& messages, SessionStep& step) {
  Bytes datagram;
  if (!agreed_.return_routability) return datagram;
  const PathMessage message{type, cookie};
  messages.records().seal(messages.epoch(), content_type::kReturnRoutabilityCheck, message.bytes(),
                          datagram);
  if (!datagram.empty()) step.countDatagram(datagram.size());
  return datagram;
}

bool OpenAssociation::challengePath(const PathCookie& cookie, Messages& messages,
                                    SessionStep& step) {
  const Bytes datagram = pathRecord(PathMessageType::Challenge, cookie, messages, step);
  if (!datagram.empty()) step.sink.datagram(datagram);
  return !datagram.empty();
}

void OpenAssociation::takePathMessage(ByteView content, Messages& messages, SessionStep& step) {
  const auto message = agreed_.return_routability ? parsePathMessage(content) : std::nullopt;
  if (!message) return step.drop(DropReason::UnexpectedMessage);
  if (message->type == PathMessageType::Response) return step.sink.pathResponse(message->cookie);
  // A path_drop answers a challenge on an old path, which we never send.
  if (message->type != PathMessageType::Challenge) return;
  // Section 5.5: one answer, at once, to where the challenge came from.
  const Bytes answer = pathRecord(PathMessageType::Response, message->cookie, messages, step);
  if (answer.empty()) return;
  std::ranges::copy(answer, step.sink.reserveDatagram(answer.size()));
  step.sink.commitReply(answer.size());
}

// ---- data --------------------------------------------------------------------------------------

bool OpenAssociation::send(ByteView message, Messages& messages, SessionStep& step) {
  if (message.size() > kMaxMessage ||
      !messages.sendRecord(content_type::kApplicationData, message, step)) {
    return false;
  }
  step.stats.messages_sent += 1;
  return true;
}

size_t OpenAssociation::sendInPlace(std::span<const MutableBytes> to_send, Messages& messages,
                                    SessionStep& step) {
  Records& records = messages.records();
  const uint64_t epoch = messages.epoch();
  const auto fits = [](MutableBytes message) { return message.size() <= kMaxMessage; };
  to_send = {to_send.begin(), std::ranges::find_if_not(to_send, fits)};
  const size_t sent = records.seal(epoch, content_type::kApplicationData, to_send);
  for (const MutableBytes message : to_send.first(sent)) {
    const size_t size = records.sealedAlone(epoch, message.size());
    step.sink.lendDatagram({message.data() - records.before(epoch), size});
    step.countDatagram(size);
  }
  step.stats.messages_sent += sent;
  return sent;
}

size_t OpenAssociation::maxMessage(size_t mtu, const Messages& messages) const {
  constexpr size_t kSome = 64;  // long enough that nothing is padded
  const size_t around = messages.records().sealedAlone(messages.epoch(), kSome) - kSome;
  return mtu > around ? std::min(mtu - around, kMaxMessage) : 0;
}

// ---- to go on elsewhere ------------------------------------------------------------------------

OpenAssociation::OpenAssociation(const OpenState13& state, Messages& messages,
                                 Milliseconds renew_after, Milliseconds now)
    : role_(state.role),
      renew_after_(renew_after),
      agreed_{.suite = suiteOf(state.suite),
              .read = state.read.secret.clone(),
              .write = state.write.secret.clone(),
              .older = state.older ? state.older->secret.clone() : Secret(),
              .exporter = Exporter(suiteOf(state.suite)->hash, state.exporter.clone()),
              .identity = state.identity,
              .servername = state.names.servername,
              .alpn = state.names.alpn,
              .return_routability = state.return_routability},
      read_epoch_(state.read.epoch),
      write_epoch_(state.write.epoch),
      read_since_(now - std::min(now, state.read.age)),
      write_since_(now - std::min(now, state.write.age)),
      requested_(state.ids_requested),
      queue_(state.messages),
      spare_ids_(state.spare_ids) {
  Records& records = messages.records();
  if (state.older) records.resumeReading(*state.older, *agreed_.suite);
  records.resumeReading(state.read, *agreed_.suite);
  records.resumeWriting(state.write, *agreed_.suite);
  if (records.reads(2)) forget_at_ = now + kTwiceMsl;
  if (!state.under_way) return;
  updating_ = queue_.front().type == message_type::kKeyUpdate;
  queue_.erase(queue_.begin());
}

OpenState13 OpenAssociation::save(const Messages& messages, Milliseconds now) const {
  const Records& records = messages.records();
  OpenState13 state;
  state.suite = agreed_.suite->id;
  state.role = role_;
  state.write = records.writeState(write_epoch_);
  state.read = records.readState(read_epoch_);
  state.write.secret = agreed_.write.clone();
  state.write.age = now - std::min(now, write_since_);
  state.read.secret = agreed_.read.clone();
  state.read.age = now - std::min(now, read_since_);
  if (records.reads(read_epoch_ - 1) && !agreed_.older.empty()) {
    state.older = records.readState(read_epoch_ - 1);
    state.older->secret = agreed_.older.clone();
  }
  state.exporter = Secret(agreed_.exporter.bytes());
  messages.save(state);
  state.messages.insert(state.messages.end(), queue_.begin(), queue_.end());
  state.spare_ids = spare_ids_;
  state.ids_requested = requested_;
  state.return_routability = agreed_.return_routability;
  state.identity = agreed_.identity;
  state.names = {agreed_.alpn, agreed_.servername};
  return state;
}

RecordPosition OpenAssociation::position(const Messages& messages) const {
  const EpochState write = messages.records().writeState(write_epoch_);
  const EpochState read = messages.records().readState(read_epoch_);
  return {.next_write = numberOf({write_epoch_, write.next}),
          .newest_read = numberOf({read_epoch_, read.next}) - 1,
          .blocks = write.used};
}

Opened OpenAssociation::describe() const {
  return {.protocol = Protocol::Dtls13,
          .cipher = agreed_.suite->name,
          .standard_cipher = agreed_.suite->name,
          .alpn = agreed_.alpn,
          .servername = agreed_.servername,
          .identity = agreed_.identity,
          .extended_master_secret = true};
}

}  // namespace mcbn::dtls13
