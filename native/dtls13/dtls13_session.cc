#include "dtls13/dtls13_session.h"

#include <algorithm>

#include "record/dtls_record.h"
#include "record/message_room.h"

namespace mcbn::dtls13 {
namespace {

// After so many repeats of a hello with a cookie that nobody answers, the cookie is doubted.
constexpr unsigned kCookieRepeats = 2;

}  // namespace

Dtls13Session::Dtls13Session(Role role, std::shared_ptr<const Settings> settings,
                             const DtlsOptions& options)
    : role_(role), settings_(std::move(settings)), options_(options), messages_(role, options) {}

void Dtls13Session::accept(const VerifiedHello& hello, Milliseconds now, SessionSink& sink) {
  MCBN_ASSERT(role_ == Role::Server && std::holds_alternative<Idle>(phase_));
  SessionStep step(sink, stats_, now);
  messages_.timers().begin(now);
  messages_.timers().flightSent(now, false);  // until there is one, what is waited for began here
  auto& handshake = phase_.emplace<ServerHandshake>(settings_, options_.keylog, own_id_);
  follow(handshake.accept(hello, messages_, step), step);
}

void Dtls13Session::connect(std::optional<std::pair<Identity, PskEntry>> key, Milliseconds now,
                            SessionSink& sink, std::vector<ClientKey> others) {
  MCBN_ASSERT(role_ == Role::Client && std::holds_alternative<Idle>(phase_));
  SessionStep step(sink, stats_, now);
  messages_.timers().begin(now);
  if (key) {
    others.insert(others.begin(), ClientKey{std::move(key->first), std::move(key->second)});
    return begin(std::move(others), step);
  }
  // The ClientHello names the identity, so a key must be there first; a hint there is none.
  phase_ = Idle{.question = 1};
  sink.question({.number = 1,
                 .protocol = Protocol::Dtls13,
                 .identity = {},
                 .hint = {},
                 .servername = options_.servername});
}

void Dtls13Session::begin(std::vector<ClientKey> keys, SessionStep& step) {
  auto& handshake = phase_.emplace<ClientHandshake>(settings_, options_.servername, options_.keylog,
                                                    std::move(keys), own_id_);
  follow(handshake.begin(messages_, step), step);
}

bool Dtls13Session::asks(uint32_t number) const {
  if (state_ != State::Handshaking) return false;
  if (const auto* const idle = std::get_if<Idle>(&phase_)) {
    return number != 0 && idle->question == number;
  }
  const auto* const server = std::get_if<ServerHandshake>(&phase_);
  return server && server->asks(number);
}

void Dtls13Session::answer(uint32_t number, PskAnswer answer, std::optional<Failure> failure,
                           Milliseconds now, SessionSink& sink) {
  if (!asks(number)) return;
  SessionStep step(sink, stats_, now);
  if (failure) lookup_failure_ = std::move(failure);
  if (auto* const server = std::get_if<ServerHandshake>(&phase_)) {
    follow(server->answer(std::move(answer), messages_, step), step);
  } else if (answer.entry) {
    std::vector<ClientKey> keys;
    keys.push_back({std::move(answer.identity), std::move(*answer.entry)});
    begin(std::move(keys), step);
  } else {
    endWith(lookup_failure_ ? *lookup_failure_
                            : Failure{.code = "MCBN_LOOKUP_FAILED",
                                      .message = "the client's key lookup gave no key"},
            step);
  }
}

// ---- from the peer -----------------------------------------------------------------------------

void Dtls13Session::receive(std::span<const MutableBytes> datagrams, Milliseconds now,
                            SessionSink& sink) {
  // A client that has said nothing has no answer to expect.
  if (state_ == State::Ended || std::holds_alternative<Idle>(phase_)) return;
  SessionStep step(sink, stats_, now);
  const bool handshaking = !open();
  heard_newer_ = false;
  stats_.datagrams_received += datagrams.size();
  for (const MutableBytes datagram : datagrams) stats_.bytes_received += datagram.size();
  for (; !open() && !step.ended && !datagrams.empty(); datagrams = datagrams.subspan(1)) {
    receiveEarly(datagrams[0], step);
  }
  if (!step.ended && !datagrams.empty()) {
    RecordTrain train(datagrams);
    takeRecords(train, step);
  }
  settle(step);
  // With the last ACK of the handshake: a session that then says nothing keeps no context for it.
  if (handshaking && open()) messages_.records().release();
}

// During the handshake: what cannot be read yet is kept.
void Dtls13Session::receiveEarly(MutableBytes datagram, SessionStep& step) {
  Bytes copy(datagram.begin(), datagram.end());
  const uint64_t unreadable = records().dropped().of(DropReason::WrongEpoch);
  const uint64_t epoch = messages_.epoch();
  RecordTrain train(datagram);
  takeRecords(train, step);
  if (step.ended) return;
  if (state_ == State::Handshaking && early_.size() < kMostEarly &&
      early_bytes_ + copy.size() <= kMostEarlyBytes &&
      records().dropped().of(DropReason::WrongEpoch) > unreadable) {
    early_bytes_ += copy.size();
    early_.push_back(std::move(copy));
    messages_.noteUnreadable(step.now);
  }
  if (messages_.epoch() != epoch) takeEarly(step);
}

void Dtls13Session::takeRecords(RecordTrain& train, SessionStep& step) {
  while (!step.ended) {
    const auto record = messages_.records().next(train);
    if (!record) break;
    heard_newer_ = heard_newer_ || (record->newest && record->number.epoch > 0);
    if (record->reserved) {
      take(*record, step);
    } else if (!hold(*record)) {
      step.drop(DropReason::Unreserved);
    }
  }
  reportDrops(step);
}

// Datagrams that overtook what their keys come from.
void Dtls13Session::takeEarly(SessionStep& step) {
  early_bytes_ = 0;
  for (Bytes& datagram : std::exchange(early_, {})) {
    if (!step.ended) receiveEarly(datagram, step);
  }
}

void Dtls13Session::reportDrops(SessionStep& step) {
  const DropCounts& dropped = records().dropped();
  if (dropped.total() == reported_.total()) return;
  for (size_t i = 0; i < kDropReasons; ++i) {
    const auto reason = static_cast<DropReason>(i);
    for (uint64_t n = reported_.of(reason); n < dropped.of(reason); ++n) {
      reported_.add(reason);
      step.drop(reason);
    }
  }
}

void Dtls13Session::take(const OpenedRecord& record, SessionStep& step) {
  switch (record.type) {
    case content_type::kHandshake:
      if (startsOver(record, step)) return;
      if (!messages_.takeFragments(record, step)) {
        return fail(malformed("repeated message", alert::kIllegalParameter), step);
      }
      return takeMessages(step);
    case content_type::kAck:
      messages_.takeAck(record, step);
      if (auto* const open = opened()) follow(open->proceed(messages_, step), step);
      return;
    case content_type::kAlert:
      return takeAlert(record, step);
    case content_type::kApplicationData:
      // RFC 9147 section 5.8.1: not before the peer's Finished, and never in the clear.
      if (!open() || record.number.epoch < 3) return step.drop(DropReason::UnexpectedMessage);
      heard_message_ = true;
      return step.message(record.content);
    case content_type::kReturnRoutabilityCheck:
      if (open() && record.number.epoch >= 3) {
        return opened()->takePathMessage(record.content, messages_, step);
      }
      [[fallthrough]];
    default:
      return step.drop(DropReason::UnexpectedMessage);
  }
}

void Dtls13Session::takeMessages(SessionStep& step) {
  MessageInbox& inbox = messages_.inbox();
  while (!step.ended && inbox.ready()) {
    const uint8_t type = inbox.type();
    const uint64_t epoch = inbox.epoch();
    Progress progress;
    if (auto* const client = std::get_if<ClientHandshake>(&phase_)) {
      progress = client->take(type, epoch, inbox.body(), messages_, step);
    } else if (auto* const server = std::get_if<ServerHandshake>(&phase_)) {
      progress = server->take(type, epoch, inbox.body(), messages_, step);
    } else if (auto* const open = opened()) {
      auto failure = open->take(type, epoch, inbox.body(), messages_, step);
      if (failure) progress = *std::move(failure);
    }
    auto* const failure = std::get_if<Failure>(&progress);
    if (failure && epoch == 0) {
      // In the clear: it may be somebody else's, and the peer's is still to come.
      inbox.forget();
      const auto* const client = std::get_if<ClientHandshake>(&phase_);
      if (client && client->unanswered()) return doubt(std::move(*failure), true, step);
      return step.drop(DropReason::UnexpectedMessage);
    }
    inbox.pop();
    if (!open()) messages_.timers().forgetAlert();
    doubt_.reset();
    follow(std::move(progress), step);
  }
}

void Dtls13Session::takeAlert(const OpenedRecord& record, SessionStep& step) {
  if (record.content.size() != 2) return step.drop(DropReason::Malformed);
  const uint8_t description = record.content[1];
  if (record.number.epoch == 0) {
    if (open()) return step.drop(DropReason::UnexpectedMessage);
    Failure failure = explainAlert(description);
    failure.alert = description;
    return doubt(std::move(failure), false, step);
  }
  // RFC 8446 section 6.1: a close_notify follows it.
  if (description == alert::kUserCanceled) return;
  if (description == alert::kCloseNotify) {
    // Section 6.1: and ours answers it, in the epoch that is ours now, in a handshake too.
    messages_.sendAlert(alert::kWarning, alert::kCloseNotify, step);
    if (open()) return endWith(std::nullopt, step);
  }
  // Section 6.2: every other one ends the session, whatever its level.
  if (!open()) return endWith(explainAlert(description), step);
  endWith(Failure{.code = "MCBN_CONNECTION_LOST",
                  .message = "the peer ended the session with the alert " + alertName(description),
                  .reason = {},
                  .alert = description},
          step);
}

void Dtls13Session::settle(SessionStep& step) {
  if (step.ended) return;
  if (auto* const server = std::get_if<ServerHandshake>(&phase_)) server->ask(step);
  messages_.settle(step);
  if (auto* const open = opened()) follow(open->proceed(messages_, step), step);
}

// ---- what it leads to --------------------------------------------------------------------------

void Dtls13Session::follow(Progress progress, SessionStep& step) {
  if (auto* const failure = std::get_if<Failure>(&progress)) return fail(std::move(*failure), step);
  if (auto* const done = std::get_if<Established>(&progress)) open(std::move(*done), step);
}

void Dtls13Session::follow(std::optional<Failure> failure, SessionStep& step) {
  if (failure) fail(*std::move(failure), step);
}

void Dtls13Session::open(Established established, SessionStep& step) {
  // Of an identity offered before the one that was taken: not why an open session ends.
  lookup_failure_.reset();
  auto& association = phase_.emplace<OpenAssociation>(role_, std::move(established),
                                                      settings_->key_update_interval);
  if (!association.begin(messages_, step)) return fail(outOfMemory(), step);
  state_ = State::Open;
  messages_.opened(step.now);
  step.sink.opened(association.describe(), association.maxMessage(options_.mtu, messages_));
}

void Dtls13Session::fail(Failure failure, SessionStep& step) {
  // No more is known of a client whose key is looked up.
  const auto* const server = std::get_if<ServerHandshake>(&phase_);
  if (server && !server->awaitsFinished() && failure.alert != kNoAlert) {
    key_refusal_ = static_cast<uint8_t>(failure.alert);
  }
  if (failure.alert != kNoAlert) {
    messages_.sendAlert(failure.alert == alert::kCloseNotify ? alert::kWarning : alert::kFatal,
                        static_cast<uint8_t>(failure.alert), step);
  }
  endWith(failure, step);
}

void Dtls13Session::endWith(const std::optional<Failure>& failure, SessionStep& step) {
  state_ = State::Ended;
  early_.clear();
  // A failed lookup outranks what the wire then says.
  step.end(lookup_failure_ ? lookup_failure_ : failure);
}

// ---- the owner's side --------------------------------------------------------------------------

bool Dtls13Session::send(ByteView message, Milliseconds now, SessionSink& sink) {
  if (!open()) return false;
  SessionStep step(sink, stats_, now);
  const bool sent = opened()->send(message, messages_, step);
  follow(opened()->proceed(messages_, step), step);
  return sent;
}

size_t Dtls13Session::sendInPlace(std::span<const MutableBytes> messages, Milliseconds now,
                                  SessionSink& sink) {
  if (!open()) return 0;
  if (records().before(messages_.epoch()) > kRoomBefore) {  // a long connection ID
    size_t sent = 0;
    while (sent < messages.size() && send(messages[sent], now, sink)) sent += 1;
    return sent;
  }
  SessionStep step(sink, stats_, now);
  const size_t sent = opened()->sendInPlace(messages, messages_, step);
  follow(opened()->proceed(messages_, step), step);
  return sent;
}

void Dtls13Session::close(SessionSink& sink) {
  if (state_ == State::Ended) return;
  SessionStep step(sink, stats_);
  const bool client = std::holds_alternative<ClientHandshake>(phase_);
  // A client is open as soon as it has our Finished, and would go on sending.
  const bool cancels = (client && stats_.datagrams_received > 0) || awaitsFinished();
  if (cancels) messages_.sendAlert(alert::kWarning, alert::kUserCanceled, step);
  if (open() || cancels) messages_.sendAlert(alert::kWarning, alert::kCloseNotify, step);
  state_ = State::Ended;
}

bool Dtls13Session::updateKeys(bool both, Milliseconds now, SessionSink& sink) {
  if (!open()) return false;
  SessionStep step(sink, stats_, now);
  opened()->updateKeys(both, messages_, step);
  return true;
}

bool Dtls13Session::challengePath(const PathCookie& cookie, SessionSink& sink) {
  if (!open()) return false;
  SessionStep step(sink, stats_);
  return opened()->challengePath(cookie, messages_, step);
}

bool Dtls13Session::giveConnectionIds(std::vector<Bytes> ids, bool immediate, Milliseconds now,
                                      SessionSink& sink) {
  if (!open()) return false;
  SessionStep step(sink, stats_, now);
  return opened()->giveConnectionIds(std::move(ids), immediate, messages_, step);
}

bool Dtls13Session::requestConnectionIds(uint8_t count, Milliseconds now, SessionSink& sink) {
  if (!open()) return false;
  SessionStep step(sink, stats_, now);
  return opened()->requestConnectionIds(count, messages_, step);
}

bool Dtls13Session::awaitsFinished() const {
  const auto* const server = std::get_if<ServerHandshake>(&phase_);
  return state_ == State::Handshaking && server && server->awaitsFinished();
}

const Identity& Dtls13Session::identity() const {
  static const Identity none;
  if (const auto* const client = std::get_if<ClientHandshake>(&phase_)) return client->identity();
  if (const auto* const server = std::get_if<ServerHandshake>(&phase_)) return server->identity();
  return association() ? association()->agreed().identity : none;
}

void Dtls13Session::setKeylog(bool on) {
  options_.keylog = on;  // of a handshake that has yet to begin
  if (auto* const client = std::get_if<ClientHandshake>(&phase_)) client->setKeylog(on);
  if (auto* const server = std::get_if<ServerHandshake>(&phase_)) server->setKeylog(on);
}

bool Dtls13Session::exportKeyingMaterial(std::string_view label, std::optional<ByteView> context,
                                         MutableBytes out) const {
  return open() && association()->agreed().exporter.exportKeyingMaterial(
                       label, context.value_or(ByteView()), out);
}

// ---- time --------------------------------------------------------------------------------------

Milliseconds Dtls13Session::deadline() const {
  if (state_ == State::Ended) return kNever;
  const Milliseconds at = messages_.deadline();
  return association() ? std::min(at, association()->deadline()) : at;
}

void Dtls13Session::expire(Milliseconds now, SessionSink& sink) {
  if (state_ == State::Ended) return;
  SessionStep step(sink, stats_, now);
  if (auto* const open = opened()) open->expire(now, messages_);
  const unsigned repeats = messages_.repeats();
  const HandshakeTimers::Due due = messages_.expire(step);
  auto* const client = std::get_if<ClientHandshake>(&phase_);
  if (client && messages_.repeats() > std::max(repeats, kCookieRepeats - 1)) {
    client->askAgain(ClientHandshake::Cause::Silence, messages_, step);
  }
  switch (due) {
    case HandshakeTimers::Due::Alert: {
      Failure failure = doubt_ ? *std::move(doubt_) : Failure();
      return doubt_is_ours_ ? fail(std::move(failure), step) : endWith(failure, step);
    }
    case HandshakeTimers::Due::Timeout:
      return endWith(Failure{.code = "MCBN_HANDSHAKE_TIMEOUT", .message = explainTimeout()}, step);
    default:
      return;
  }
}

}  // namespace mcbn::dtls13
