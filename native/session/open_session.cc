#include "session/open_session.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/few.h"
#include "record/message_room.h"

namespace mcbn {
namespace {

constexpr uint16_t kEpoch = 1;  // DTLS 1.2 has no other without renegotiation
// Records that are decrypted together: what a train of UDP_GRO has at most.
constexpr size_t kTrain = 64;

}  // namespace

OpenSession::OpenSession(OpenState state, CipherContexts* contexts)
    : cipher_(state.cipher),
      records_(*aeadSuiteOf(state.cipher), kEpoch, std::move(state.keys), state.position, contexts,
               state.replay_window, std::move(state.ids)),
      secrets_(std::move(state.secrets)),
      identity_(std::move(state.identity)),
      last_flight_(std::move(state.last_flight)),
      round_trip_(state.round_trip),
      max_fragment_(static_cast<uint16_t>(state.max_fragment)),
      role_(state.role),
      return_routability_(state.return_routability) {
  if (!state.names.empty()) names_ = std::make_unique<AgreedNames>(std::move(state.names));
  last_flight_.shrink_to_fit();
  records_.limitForgeries(state.forgery_limit);
}

OpenState OpenSession::takeState() {
  MCBN_ASSERT(!taken_);
  taken_ = true;
  return copyState();
}

OpenState OpenSession::copyState() const {
  ExporterSecrets secrets = secrets_.clone();
  return {.cipher = cipher_,
          .role = role_,
          .secrets = std::move(secrets),
          .position = records_.position(),
          .max_fragment = max_fragment_,
          .ids = {records_.ownConnectionId(), records_.peerConnectionId()},
          .return_routability = return_routability_,
          .identity = identity_,
          .names = names_ ? *names_ : AgreedNames(),
          .round_trip = round_trip_,
          // Its first message says that the peer has had it.
          .last_flight = heard_message_ ? std::vector<Bytes>() : last_flight_};
}

// ---- its row in a session store ----------------------------------------------------------------

void OpenSession::reserve(bool from_row, size_t mtu, Milliseconds now) {
  const size_t largest = maxMessage(mtu);
  reservation_ =
      std::make_unique<Reservation>(records_.position(), from_row, largest / 16 + 3, now);
  records_.limitNumbers(reservation_->granted());
}

OpenState OpenSession::row(Milliseconds now) {
  MCBN_ASSERT(reservation_ && !taken_);
  OpenState state = copyState();
  state.position = reservation_->propose(state.position, now);
  records_.limitNumbers(reservation_->granted());
  return state;
}

void OpenSession::rowWritten(SessionStep& step) {
  if (!reservation_ || taken_) return;
  reservation_->grant();
  records_.limitNumbers(reservation_->granted());
  for (HeldRecord& held : reservation_->takeHeld()) {
    if (step.ended) return;
    const auto length = records_.admitHeld(held.sequence, held.type, held.fragment);
    if (!length) {
      step.drop(records_.dropReason());
      continue;
    }
    takeContent(ByteView(held.fragment).subspan(records_.contentOffset(), *length), step);
  }
}

Opened OpenSession::describe() const {
  return {.protocol = Protocol::Dtls12,
          .cipher = SSL_CIPHER_get_name(cipher_),
          .standard_cipher = SSL_CIPHER_standard_name(cipher_),
          .alpn = names_ ? names_->alpn : std::string(),
          .servername = names_ ? names_->servername : std::string(),
          .identity = identity_,
          .extended_master_secret = secrets_.extended()};
}

size_t OpenSession::maxMessage(size_t mtu) const {
  const size_t around = records_.sealedSize(0);
  return std::min<size_t>(mtu - std::min(mtu, around), max_fragment_);
}

// ---- receiving ---------------------------------------------------------------------------------

void OpenSession::receive(std::span<const MutableBytes> datagrams, SessionStep& step) {
  MCBN_ASSERT(!taken_);
  heard_newer_ = false;
  Few<IncomingRecord, kTrain> train;
  const size_t id_length = records_.ownConnectionId().size();
  for (const MutableBytes datagram : datagrams) {
    for (ByteView records = datagram; !records.empty();) {
      const auto record = nextRecord(records, id_length);
      if (!record) {
        step.drop(DropReason::Malformed);
        break;
      }
      // In the memory that receive() was lent.
      train.add({*record, const_cast<uint8_t*>(record->fragment.data())});
      if (!train.full()) continue;
      takeTrain(train.items(), step);
      train.clear();
      if (step.ended) return;
    }
  }
  takeTrain(train.items(), step);
}

void OpenSession::takeTrain(std::span<IncomingRecord> train, SessionStep& step) {
  records_.decrypt(train);
  for (const IncomingRecord& incoming : train) {
    if (step.ended) return;
    take(incoming, step);
  }
}

void OpenSession::take(const IncomingRecord& incoming, SessionStep& step) {
  const auto length = records_.admit(incoming);
  if (!length) {
    if (records_.dropReason() == DropReason::Unreserved && reservation_) {
      const ByteView fragment(incoming.place, incoming.record.fragment.size());
      if (reservation_->hold({incoming.record.sequence,
                              incoming.record.type,
                              {fragment.begin(), fragment.end()}})) {
        heard_newer_ = true;
        return;
      }
    }
    step.drop(records_.dropReason());
    if (records_.dropReason() == DropReason::BadMac) endIfExhausted(step);
    return;
  }
  if (records_.newest()) heard_newer_ = true;
  takeContent({incoming.place + records_.contentOffset(), *length}, step);
}

void OpenSession::takeContent(ByteView content, SessionStep& step) {
  if (content.size() > max_fragment_) return step.drop(DropReason::Oversized);
  switch (records_.contentType()) {
    case content_type::kApplicationData: {
      if (content.empty()) return;  // RFC 5246 section 6.2.1
      heard_message_ = true;
      return step.message(content);
    }
    case content_type::kHandshake:
      // A Finished again: ours was lost. There is no new handshake inside this one.
      if (!content.empty() && content[0] == handshake_type::kFinished) {
        return repeatLastFlight(step);
      }
      return sendAlert(alert::kWarning, alert::kNoRenegotiation, step);
    case content_type::kAlert:
      return takeAlert(content, step);
    case content_type::kReturnRoutabilityCheck:
      return takePathMessage(content, step);
    default:
      return;
  }
}

void OpenSession::takeAlert(ByteView content, SessionStep& step) {
  if (content.size() != 2) return;
  const uint8_t description = content[1];
  if (description == alert::kCloseNotify) {
    sendAlert(alert::kWarning, alert::kCloseNotify, step);  // RFC 5246 section 7.2.1
    return step.end(std::nullopt);
  }
  if (content[0] != alert::kFatal) return;
  step.end(Failure{.code = "MCBN_CONNECTION_LOST",
                   .message = "the peer ended the session with the alert " + alertName(description),
                   .alert = description});
}

void OpenSession::repeatLastFlight(SessionStep& step) {
  if (last_flight_.empty()) return;
  step.countRepeatedFlight();
  for (const Bytes& sent : last_flight_) {
    step.countDatagram(sent.size());
    step.sink.datagram(sent);
  }
}

// ---- return routability (RFC 9853) -------------------------------------------------------------

void OpenSession::takePathMessage(ByteView content, SessionStep& step) {
  const auto message = return_routability_ ? parsePathMessage(content) : std::nullopt;
  if (!message) return;
  if (message->type == PathMessageType::Response) return step.sink.pathResponse(message->cookie);
  // A path_drop answers a challenge on an old path, which we never send.
  if (message->type != PathMessageType::Challenge) return;
  // RFC 9853 section 5.5: one answer, at once, to where the challenge came from.
  const PathMessage answer{PathMessageType::Response, message->cookie};
  const size_t size = sealInto(content_type::kReturnRoutabilityCheck, answer.bytes(), step);
  if (size == 0) return;
  step.countDatagram(size);
  step.sink.commitReply(size);
}

bool OpenSession::challengePath(const PathCookie& cookie, SessionStep& step) {
  if (!return_routability_) return false;
  const PathMessage challenge{PathMessageType::Challenge, cookie};
  const size_t size = sealInto(content_type::kReturnRoutabilityCheck, challenge.bytes(), step);
  if (size == 0) return false;
  step.countDatagram(size);
  step.sink.commitDatagram(size);
  return true;
}

// ---- sending -----------------------------------------------------------------------------------

bool OpenSession::send(ByteView message, SessionStep& step) {
  if (message.size() > max_fragment_) return false;
  const size_t size = sealInto(content_type::kApplicationData, message, step);
  if (size == 0) return false;
  step.sink.commitDatagram(size);
  countSent(size, step);
  return true;
}

size_t OpenSession::sendInPlace(std::span<const MutableBytes> messages, SessionStep& step) {
  size_t sent = 0;
  if (records_.before() > kRoomBefore || records_.behind() > kRoomBehind) {
    while (sent < messages.size() && !step.ended && send(messages[sent], step)) sent += 1;
    return sent;
  }
  MCBN_ASSERT(!taken_);
  const auto fits = [this](MutableBytes message) { return message.size() <= max_fragment_; };
  messages = {messages.begin(), std::ranges::find_if_not(messages, fits)};
  sent = records_.seal(content_type::kApplicationData, messages);
  for (const MutableBytes message : messages.first(sent)) {
    const size_t size = records_.sealedSize(message.size());
    step.sink.lendDatagram({message.data() - records_.before(), size});
    step.countDatagram(size);
  }
  step.stats.messages_sent += sent;
  endIfExhausted(step);
  return sent;
}

// A record of ours where the sink wants the next datagram, to be committed; 0: none could be made.
size_t OpenSession::sealInto(uint8_t type, ByteView content, SessionStep& step) {
  MCBN_ASSERT(!taken_);
  const size_t size = records_.sealedSize(content.size());
  return records_.seal(type, content, step.sink.reserveDatagram(size)) ? size : 0;
}

void OpenSession::sendAlert(uint8_t level, uint8_t description, SessionStep& step) {
  const uint8_t content[] = {level, description};
  const size_t size = sealInto(content_type::kAlert, content, step);
  if (size == 0) return;
  step.countDatagram(size);
  step.sink.commitDatagram(size);
}

void OpenSession::countSent(size_t datagram, SessionStep& step) {
  step.countDatagram(datagram);
  step.stats.messages_sent += 1;
  endIfExhausted(step);
}

void OpenSession::endIfExhausted(SessionStep& step) {
  if (step.ended || !records_.exhausted()) return;
  sendAlert(alert::kWarning, alert::kCloseNotify, step);
  step.end(Failure{
      .code = "MCBN_CONNECTION_LOST",
      .message = "the session's keys have protected, or refused, as many records as is safe (RFC "
                 "9147 section 4.5.3); connect again"});
}

}  // namespace mcbn
