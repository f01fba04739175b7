#include "session/dtls_session.h"

#include <utility>

namespace mcbn {
namespace {

// What receive() and the handshake's records lend is the caller's memory, or a copy of ours.
MutableBytes writable(ByteView bytes) { return {const_cast<uint8_t*>(bytes.data()), bytes.size()}; }

}  // namespace

DtlsSession::DtlsSession(std::shared_ptr<const Context> context, const DtlsOptions& options,
                         CipherContexts* ciphers)
    : ciphers_(ciphers), phase_(std::make_unique<DtlsHandshake>(std::move(context), options)) {}

DtlsSession::DtlsSession(OpenState state, CipherContexts* ciphers)
    : state_(State::Open),
      ciphers_(ciphers),
      phase_(std::in_place_type<OpenSession>, std::move(state), ciphers) {}

Opened DtlsSession::describe() const {
  MCBN_ASSERT(portable());
  return ours()->describe();
}

size_t DtlsSession::maxMessage(size_t mtu) const {
  MCBN_ASSERT(portable());
  return ours()->maxMessage(mtu);
}

std::optional<OpenState> DtlsSession::takeState() {
  if (!portable()) return std::nullopt;
  state_ = State::Ended;
  return ours()->takeState();
}

void DtlsSession::rowWritten(Milliseconds now, SessionSink& sink) {
  if (!portable()) return;
  SessionStep step(sink, stats_, now);
  ours()->rowWritten(step);
  if (step.ended) state_ = State::Ended;
}

DtlsHandshake* DtlsSession::shakingHands() {
  auto* const phase = std::get_if<ShakingHands>(&phase_);
  return phase && state_ == State::Handshaking ? phase->get() : nullptr;
}

const DtlsHandshake* DtlsSession::shakingHands() const {
  return const_cast<DtlsSession*>(this)->shakingHands();
}

// ---- the handshake -----------------------------------------------------------------------------

void DtlsSession::useConnectionId(Bytes own) {
  MCBN_ASSERT(shakingHands());
  shakingHands()->useConnectionId(std::move(own));
}

void DtlsSession::accept(ByteView hello, Milliseconds now, SessionSink& sink) {
  MCBN_ASSERT(shakingHands());
  SessionStep step(sink, stats_, now);
  stats_.datagrams_received += 1;
  stats_.bytes_received += hello.size();
  shakingHands()->accept(hello, step);
  settle(hello, step);
}

void DtlsSession::connect(std::optional<std::pair<Identity, PskEntry>> key, Milliseconds now,
                          SessionSink& sink) {
  MCBN_ASSERT(shakingHands());
  SessionStep step(sink, stats_, now);
  shakingHands()->connect(std::move(key), step);
  settle({}, step);
}

void DtlsSession::answer(uint32_t number, PskAnswer answer, std::optional<Failure> failure,
                         Milliseconds now, SessionSink& sink) {
  DtlsHandshake* const handshake = shakingHands();
  if (!handshake) return;
  SessionStep step(sink, stats_, now);
  handshake->answer(number, std::move(answer), std::move(failure), step);
  settle({}, step);
}

// After each step of a handshake: enters the next phase if it is done, with the records that the
// handshake has not taken.
void DtlsSession::settle(ByteView rest, SessionStep& step) {
  if (step.ended) {
    state_ = State::Ended;
    return;
  }
  if (shakingHands()->startsAnew()) {
    auto fresh = shakingHands()->freshStart(step);
    phase_ = std::move(fresh);
    if (step.ended) state_ = State::Ended;
    return;
  }
  if (!shakingHands()->done()) {
    shakingHands()->settleGuarded(step);
    if (step.ended) state_ = State::Ended;
    return;
  }
  HandshakeResult result = shakingHands()->takeResult();
  if (auto* const open = std::get_if<OpenState>(&result.goes_on)) {
    phase_.emplace<OpenSession>(std::move(*open), ciphers_);
  } else {
    phase_.emplace<OnOpenssl>(std::make_unique<OpensslSession>(
        std::get<std::unique_ptr<DatagramSsl>>(std::move(result.goes_on))));
  }
  state_ = State::Open;
  step.sink.opened(result.proved.opened(), result.max_message);
  for (Bytes& record : result.early) receiveOpen(record, step);
  receiveOpen(writable(rest), step);
}

// ---- receiving ---------------------------------------------------------------------------------

void DtlsSession::receive(std::span<const MutableBytes> datagrams, Milliseconds now,
                          SessionSink& sink) {
  for (; state_ == State::Handshaking && !datagrams.empty(); datagrams = datagrams.subspan(1)) {
    SessionStep step(sink, stats_, now);
    ByteView rest = datagrams[0];
    stats_.datagrams_received += 1;
    stats_.bytes_received += rest.size();
    if (auto guarded = shakingHands()->takeGuarded(rest)) phase_ = std::move(guarded);
    shakingHands()->receive(rest, step);
    settle(rest, step);
  }
  if (state_ == State::Ended || datagrams.empty()) return;
  SessionStep step(sink, stats_, now);
  stats_.datagrams_received += datagrams.size();
  for (const MutableBytes datagram : datagrams) stats_.bytes_received += datagram.size();
  receiveOpen(datagrams, step);
}

void DtlsSession::receiveOpen(std::span<const MutableBytes> datagrams, SessionStep& step) {
  if (OpenSession* const open = ours()) {
    if (!step.ended) open->receive(datagrams, step);
  } else {
    for (const MutableBytes datagram : datagrams) {
      if (!step.ended) std::get<OnOpenssl>(phase_)->receive(datagram, step);
    }
  }
  if (step.ended) state_ = State::Ended;
}

// ---- sending -----------------------------------------------------------------------------------

bool DtlsSession::send(ByteView message, Milliseconds now, SessionSink& sink) {
  if (state_ != State::Open) return false;
  SessionStep step(sink, stats_, now);
  OpenSession* const open = ours();
  const bool sent =
      open ? open->send(message, step) : std::get<OnOpenssl>(phase_)->send(message, step);
  if (step.ended) state_ = State::Ended;
  return sent;
}

size_t DtlsSession::sendInPlace(std::span<const MutableBytes> messages, Milliseconds now,
                                SessionSink& sink) {
  size_t sent = 0;
  if (state_ != State::Open) return sent;
  if (OpenSession* const open = ours()) {
    SessionStep step(sink, stats_, now);
    sent = open->sendInPlace(messages, step);
    if (step.ended) state_ = State::Ended;
    return sent;
  }
  while (sent < messages.size() && send(messages[sent], now, sink)) sent += 1;
  return sent;
}

bool DtlsSession::challengePath(const PathCookie& cookie, SessionSink& sink) {
  OpenSession* const open = ours();
  if (!open || state_ != State::Open) return false;
  SessionStep step(sink, stats_);
  return open->challengePath(cookie, step);
}

void DtlsSession::close(SessionSink& sink) {
  if (state_ == State::Ended) return;
  SessionStep step(sink, stats_);
  if (DtlsHandshake* const handshake = shakingHands()) {
    handshake->cancel(step);
  } else if (OpenSession* const open = ours()) {
    open->close(step);
  } else {
    std::get<OnOpenssl>(phase_)->close(step);
  }
  state_ = State::Ended;
}

// ---- the rest ----------------------------------------------------------------------------------

Milliseconds DtlsSession::deadline() const {
  const DtlsHandshake* const handshake = shakingHands();
  return handshake ? handshake->deadline() : kNever;
}

void DtlsSession::expire(Milliseconds now, SessionSink& sink) {
  DtlsHandshake* const handshake = shakingHands();
  if (!handshake) return;
  SessionStep step(sink, stats_, now);
  handshake->expire(step);
  if (!step.ended) handshake->expireGuarded(step);
  settle({}, step);
}

bool DtlsSession::awaitsFinished() const {
  const DtlsHandshake* const handshake = shakingHands();
  return handshake && handshake->awaitsFinished();
}

const Identity& DtlsSession::identity() const {
  if (const OpenSession* const open = ours()) return open->identity();
  if (const auto* const handshake = std::get_if<ShakingHands>(&phase_)) {
    return (*handshake)->identity();
  }
  return std::get<OnOpenssl>(phase_)->identity();
}

void DtlsSession::setKeylog(bool on) {
  if (DtlsHandshake* const handshake = shakingHands()) handshake->setKeylog(on);
}

bool DtlsSession::exportKeyingMaterial(std::string_view label, std::optional<ByteView> context,
                                       std::span<uint8_t> out) const {
  if (!open()) return false;
  if (const OpenSession* const open = ours()) {
    return open->exportKeyingMaterial(label, context, out);
  }
  return std::get<OnOpenssl>(phase_)->exportKeyingMaterial(label, context, out);
}

}  // namespace mcbn
