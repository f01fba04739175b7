#include "dtls13/messages.h"

#include <algorithm>
#include <array>

#include "record/dtls_record.h"

namespace mcbn::dtls13 {
namespace {

constexpr size_t kMostAcks = 64;
// Between two sendings that the peer asks for, or somebody in its name.
constexpr Milliseconds kSpacing = 25;
constexpr Milliseconds kSpacingInClear = 100;

}  // namespace

Messages::Messages(Role role, const DtlsOptions& options)
    : role_(role),
      mtu_(std::max<size_t>(options.mtu, 128)),
      first_retransmission_(options.retransmit_timeout),
      records_(options.replay_window),
      flight_(mtu_),
      inbox_(role == Role::Server ? kMostClientBytes : kMostMessageBytes) {
  timers_.emplace(role, options.handshake_timeout, options.retransmit_timeout);
}

void Messages::beginFlight() {
  flight_.clear();
  acks_.clear();
  ack_at_ = kNever;
  ack_now_ = false;
  repeat_at_ = kNever;
}

void Messages::answered(SessionStep& step) {
  // Not after a repetition: nobody knows which sending was answered (RFC 6298 section 3).
  if (!repeated_) timers_->keyExchangeReceived(step.now);
  flight_.clear();
  waitNoMore(step);
}

void Messages::sendFirst(uint8_t type, Bytes body, SessionStep& step) {
  Flight alone(mtu_);
  alone.post(0, type, std::move(body));
  alone.send(records_, step);
}

void Messages::startOver(uint16_t sequence) {
  beginFlight();
  flight_.startAt(sequence);
  inbox_ = MessageInbox();
  repeated_ = true;
}

void Messages::send(SessionStep& step) {
  unsent_ = !mayTell();
  if (unsent_) return waitNoMore(step);  // for anything but tell()
  timers_->flightSent(step.now, !repeated_);
  wait_ = timers_->firstWait();
  sent_at_ = step.now;
  repeats_ = 0;
  unsent_ = !flight_.send(records_, step);
  timers_->setWaiting(step.now, true);
}

// RFC 9147 section 5.8.1: what is not acknowledged goes out again, and the timer starts anew.
void Messages::repeat(SessionStep& step) {
  repeat_at_ = kNever;
  if (unsent_) return send(step);
  sent_at_ = step.now;
  repeated_ = true;
  if (!mayTell() || !flight_.send(records_, step)) {
    unsent_ = waiting();
    return waitNoMore(step);
  }
  repeats_ += 1;
  timers_->repeated(step.now);
  step.countRepeatedFlight();
}

void Messages::waitNoMore(SessionStep& step) {
  repeat_at_ = kNever;
  timers_->setWaiting(step.now, false);
  if (!open_) return;
  // The handshake's time has no meaning for what comes later.
  round_trip_ = roundTrip();
  timers_.emplace(role_, 0, first_retransmission_);
}

bool Messages::sendRecord(uint8_t type, ByteView content, SessionStep& step) {
  Bytes datagram;
  if (!records_.seal(epoch_, type, content, datagram)) return false;
  step.countDatagram(datagram.size());
  step.sink.datagram(datagram);
  return true;
}

void Messages::sendAlert(uint8_t level, uint8_t description, SessionStep& step) {
  sendRecord(content_type::kAlert, std::array{level, description}, step);
}

bool Messages::takeFragments(const OpenedRecord& record, SessionStep& step) {
  const uint64_t epoch = record.number.epoch;
  // RFC 9147 section 6.1: after the handshake nothing is said in epoch 0.
  if (open_ && epoch == 0) return true;
  bool kept = false, old = false, whole = true;
  for (Reader reader(record.content); whole && !reader.empty();) {
    const auto fragment = nextFragment(reader);
    switch (fragment ? inbox_.add(*fragment, epoch) : MessageInbox::Added::Refused) {
      case MessageInbox::Added::Kept:
        kept = true;
        break;
      case MessageInbox::Added::Ahead:
        kept = ack_now_ = true;
        break;
      case MessageInbox::Added::Old:
        old = true;
        break;
      case MessageInbox::Added::Refused:
        step.drop(fragment ? DropReason::UnexpectedMessage : DropReason::Malformed);
        whole = false;
        break;
      case MessageInbox::Added::Changed:
        return false;
    }
  }
  // A flight that comes again was not answered, as far as the peer knows (section 5.8.1). What
  // is in the clear proves nothing about a client's state.
  if (old && waiting() && (role_ == Role::Server || epoch != 0)) askToRepeat(epoch > 0);
  // It is still there, whatever an alert in the clear has said.
  if (old && role_ == Role::Server && !open_) timers_->forgetAlert();
  // Section 7: only what was kept, or was there already once the handshake is done. What the server
  // said before is answered by our Finished.
  const bool answered = open_ && role_ == Role::Client && epoch < 3;
  if (!whole || answered || (!kept && !(old && open_))) return true;
  if (acks_.size() == kMostAcks) acks_.erase(acks_.begin());
  acks_.push_back(record.number);
  if (open_) ack_now_ = true;
  return true;
}

void Messages::takeAck(const OpenedRecord& record, SessionStep& step) {
  const bool authentic = record.number.epoch > 0;
  if (open_ && !authentic) return;
  switch (flight_.acknowledge(record.content, authentic)) {
    case Flight::Heard::Malformed:
      return step.drop(DropReason::Malformed);
    case Flight::Heard::Nothing:
      break;
    case Flight::Heard::Resend:
      askToRepeat(authentic);
      break;
  }
  if (flight_.empty()) waitNoMore(step);
}

void Messages::askToRepeat(bool authentic) {
  repeat_at_ = std::min(repeat_at_, later(sent_at_, authentic ? kSpacing : kSpacingInClear));
}

void Messages::noteUnreadable(Milliseconds now) {
  if (ack_at_ == kNever) ack_at_ = now + std::max<Milliseconds>(1, wait_ / 4);
}

void Messages::settle(SessionStep& step) {
  if (step.ended) return;
  if (repeat_at_ <= step.now) repeat(step);
  if (ack_now_) {
    sendAck(step);
  } else if (!acks_.empty()) {
    noteUnreadable(step.now);
  }
}

void Messages::sendAck(SessionStep& step) {
  ack_now_ = !mayTell();
  ack_at_ = kNever;
  if (ack_now_) return;
  const size_t around = records_.sealedSize(epoch_, 0);
  sendRecord(content_type::kAck, writeAck(acks_, mtu_ > around ? mtu_ - around : 0), step);
  if (open_) acks_.clear();
}

void Messages::opened(Milliseconds now) {
  open_ = true;
  if (role_ == Role::Server) round_trip_ = timers_->roundTrip();
  if (!waiting()) timers_.emplace(role_, 0, first_retransmission_);
  timers_->begin(now);  // a client's Finished has as long again to be acknowledged
  if (!acks_.empty()) ack_now_ = true;
}

void Messages::tell(SessionStep& step) {
  if (unsent_) send(step);
  settle(step);
}

void Messages::save(OpenState13& state) const {
  state.next_message = flight_.next();
  state.next_of_peer = inbox_.next();
  state.round_trip = roundTrip();
  state.own_ids = records_.ownIds();
  state.peer_id = records_.peerId();
  state.under_way = waiting();
  if (state.under_way) state.messages.push_back(flight_.first());
}

void Messages::resume(const OpenState13& state, Milliseconds now) {
  open_ = true;
  epoch_ = state.write.epoch;
  round_trip_ = state.round_trip;
  timers_.emplace(role_, 0, first_retransmission_);
  records_.setOwnIds(state.own_ids);
  records_.setPeerId(state.peer_id);
  inbox_.startAt(state.next_of_peer);
  flight_.startAt(state.next_message - (state.under_way ? 1 : 0));
  if (!state.under_way) return;
  const WaitingMessage& message = state.messages[0];
  flight_.post(epoch_, message.type, message.body);
  // Whether it has arrived nobody knows here: once more, with the same number.
  unsent_ = true;
  repeat_at_ = now;
}

Milliseconds Messages::deadline() const {
  return std::min({timers_->deadline(), ack_at_, repeat_at_});
}

HandshakeTimers::Due Messages::expire(SessionStep& step) {
  if (ack_at_ <= step.now) sendAck(step);
  if (repeat_at_ <= step.now) repeat(step);
  const HandshakeTimers::Due due = timers_->due(step.now);
  if (due != HandshakeTimers::Due::Retransmission) return due;
  wait_ = timers_->nextWait(wait_);
  repeat(step);
  return HandshakeTimers::Due::Nothing;
}

}  // namespace mcbn::dtls13
