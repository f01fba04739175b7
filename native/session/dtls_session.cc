#include "session/dtls_session.h"

#include <algorithm>
#include <utility>

namespace mcbn {
namespace {

// How long an alert in the clear, which anybody can send, waits for the handshake to go on in spite
// of it.
constexpr Milliseconds kAlertGrace = 250;
// RFC 6347 section 4.2.4.1: flights are repeated after 1 s, then at most twice the time.
constexpr Milliseconds kPeerRepeats = 2'500;
// An IV, and two blocks with a MAC of 20 bytes: never more than a suite can make.
constexpr size_t kShortestCbcRecord = 48;
// What OpenSSL takes at least (SSL_set_max_send_fragment).
constexpr size_t kSmallestSendFragment = 512;

}  // namespace

DtlsSession::DtlsSession(std::shared_ptr<const Context> context, const DtlsOptions& options,
                         CipherContexts* ciphers)
    : options_(options),
      ciphers_(ciphers),
      role_(context->role()),
      handshake_(std::make_unique<Handshake>(std::move(context), options.keylog)) {
  wire_.mtu = options_.mtu;
  SSL* ssl = handshake_->ssl();
  BIO* bio = ssl ? newDatagramBio(&wire_) : nullptr;
  if (!bio) {
    state_ = State::Ended;
    return;
  }
  SSL_set_bio(ssl, bio, bio);
  SSL_set_app_data(ssl, this);
  SSL_set_mtu(ssl, static_cast<long>(options_.mtu));
  // No record is longer than a datagram: OpenSSL's buffer for one need not be either, of 16 KB.
  SSL_set_max_send_fragment(
      ssl, static_cast<long>(std::clamp<size_t>(options_.mtu, kSmallestSendFragment, kMaxMessage)));
  DTLS_set_timer_cb(ssl, onTimer);
}

bool DtlsSession::awaitsFinished() const {
  if (state_ != State::Handshaking || !screen_) return false;
  return std::visit([](const auto& screen) { return screen.changeCipherSpecSeen(); }, *screen_);
}

HandshakeScreen& DtlsSession::screen() {
  return std::visit([](auto& screen) -> HandshakeScreen& { return screen; }, *screen_);
}

// ---- beginning ---------------------------------------------------------------------------------

void DtlsSession::accept(ByteView hello, Milliseconds now, SessionSink& sink) {
  const Step step(*this, sink);
  started_ = now;
  heard_ = true;
  if (state_ == State::Ended) return fail({.message = "OpenSSL has no memory for a session"});
  screen_ = std::make_unique<Screen>(std::in_place_type<ServerScreen>, true);
  ByteView rest = hello;
  const auto record = nextRecord(rest);
  if (!record || std::get<ServerScreen>(*screen_).inspect(*record) != Verdict::Pass) {
    return fail({.code = "MCBN_HANDSHAKE_FAILED", .message = "the ClientHello is malformed"});
  }
  // DTLSv1_listen() is how OpenSSL is told that the cookie exchange is over: the ClientHello with
  // the cookie has message_seq 1, which a plain handshake would file as a message from the future.
  // Its callbacks approve, since the cookie was verified before this session existed.
  SSL* ssl = handshake_->ssl();
  BIO_ADDR* nobody = BIO_ADDR_new();
  wire_.incoming = record->whole;
  const int listened = nobody ? DTLSv1_listen(ssl, nobody) : -1;
  BIO_ADDR_free(nobody);
  if (listened != 1) {
    const OpensslError error = takeOpensslError();
    return fail({.code = "MCBN_HANDSHAKE_FAILED",
                 .message = "OpenSSL refused the ClientHello: " + error.text,
                 .reason = error.text});
  }
  stats_.datagrams_received += 1;
  stats_.bytes_received += hello.size();
  SSL_set_mtu(ssl, static_cast<long>(options_.mtu));
  advance(now);
  inspectAll(rest, now);  // further fragments of the ClientHello
}

void DtlsSession::connect(std::optional<std::pair<Identity, PskEntry>> key, Milliseconds now,
                          SessionSink& sink) {
  const Step step(*this, sink);
  started_ = now;
  if (state_ == State::Ended) return fail({.message = "OpenSSL has no memory for a session"});
  screen_ = std::make_unique<Screen>(std::in_place_type<ClientScreen>, !key.has_value());
  if (key) handshake_->useKey(std::move(key->first), std::move(key->second));
  if (!options_.servername.empty() && !handshake_->setServername(options_.servername)) {
    return fail({.code = "MCBN_OPTION_RANGE", .message = "servername: OpenSSL refused it"});
  }
  SSL_set_connect_state(handshake_->ssl());
  advance(now);
}

// ---- receiving ---------------------------------------------------------------------------------

void DtlsSession::receive(MutableBytes datagram, Milliseconds now, SessionSink& sink) {
  if (state_ == State::Ended) return;
  const Step step(*this, sink);
  stats_.datagrams_received += 1;
  stats_.bytes_received += datagram.size();
  heard_newer_ = false;
  if (state_ == State::Handshaking) heard_ = true;
  inspectAll(datagram, now);
}

void DtlsSession::inspectAll(ByteView records, Milliseconds now) {
  while (state_ != State::Ended && !records.empty()) {
    const auto record = nextRecord(records, connectionIdLength());
    if (!record) {
      return drop(DropReason::Malformed);
    }
    if (!records_ && record->epoch > 0 && record->fragment.size() < shortestRecord()) {
      drop(DropReason::Malformed);
    } else if (state_ == State::Open) {
      readOpen(*record);
    } else {
      inspect(*record, now);
    }
  }
}

void DtlsSession::drop(DropReason reason) {
  stats_.dropped.add(reason);
  sink_->dropped(reason);
}

// Bytes that an encrypted fragment has at least. OpenSSL ends the session over a shorter one
// (internal_error), which anybody can send who knows the addresses, instead of dropping it as RFC
// 6347 section 4.1.2.7 asks.
size_t DtlsSession::shortestRecord() {
  if (shortest_record_ != 0) return shortest_record_;
  const SSL* ssl = handshake_->ssl();
  const SSL_CIPHER* cipher =
      state_ == State::Open ? SSL_get_current_cipher(ssl) : SSL_get_pending_cipher(ssl);
  if (!cipher) return SIZE_MAX;  // before the ServerHello nobody can have keys
  const AeadSuite* const suite = aeadSuiteOf(cipher);
  return shortest_record_ = suite ? suite->overhead() : kShortestCbcRecord;
}

void DtlsSession::inspect(const DtlsRecord& record, Milliseconds now) {
  if (!hasConnectionIdDue(record)) return drop(DropReason::ConnectionId);
  const Verdict verdict =
      std::visit([&](auto& screen) { return screen.inspect(record); }, *screen_);
  if (verdict == Verdict::Drop) {
    drop(screen().dropReason());
    if (screen().dropReason() == DropReason::Duplicate) forgetAlert();
    return;
  }
  if (record.epoch == 0 && record.type == content_type::kAlert) return noteAlert(record, now);
  const bool with_id = record.type == content_type::kTls12Cid;
  if (record.epoch > 0 && record.type != content_type::kHandshake && !with_id) {
    return keepEarly(record);
  }
  if (verdict == Verdict::Hold) {
    held_.emplace_back(record.whole.begin(), record.whole.end());
    return settleKey(now);
  }
  with_id ? takeReframed(record, now) : feed(record, now);
  // A ServerKeyExchange that was late may complete the hint.
  if (state_ == State::Handshaking && screen().holding()) settleKey(now);
}

// Anybody can send an alert in the clear. It ends the handshake only if nothing else happens.
void DtlsSession::noteAlert(const DtlsRecord& record, Milliseconds now) {
  if (record.fragment.size() != 2 || alert_hint_ != kNoAlert) return;
  const uint8_t description = record.fragment[1];
  const bool fatal = record.fragment[0] == alert::kFatal;
  // The only warnings that end a handshake (RFC 5246 sections 7.2.1 and 7.2.2).
  if (!fatal && description != alert::kCloseNotify && description != alert::kUserCanceled) return;
  Milliseconds grace = kAlertGrace;
  // While a key is looked up, a peer that is still there repeats itself, at growing intervals. And
  // a goodbye is in no hurry: it only shortens handshakeTimeout.
  if (!fatal || handshake_->psk().asking()) {
    grace = std::max(kPeerRepeats, 2 * (now - flight_sent_));
  }
  alert_hint_ = description;
  alert_at_ = now + grace;
}

// The handshake goes on: the alert was not the peer's.
void DtlsSession::forgetAlert() {
  alert_hint_ = kNoAlert;
  alert_at_ = kNever;
}

// Held back: the peer's key exchange is here, and OpenSSL would ask for the key next.
void DtlsSession::settleKey(Milliseconds now) {
  Negotiation& psk = handshake_->psk();
  if (psk.asking() || psk.state() != Negotiation::State::None) return;
  if (role() == Role::Server) {
    const auto identity = std::get<ServerScreen>(*screen_).identity();
    if (!identity) return;
    round_trip_ = std::max<Milliseconds>(1, now - flight_sent_);
    if (psk.resolve({identity->begin(), identity->end()}, Protocol::Dtls12)) {
      return releaseHeld(now);
    }
  } else {
    const auto hint = std::get<ClientScreen>(*screen_).hint();
    if (!hint) return;
    psk.askForHint(
        hint->empty() ? std::nullopt : std::optional<std::string>({hint->begin(), hint->end()}),
        Protocol::Dtls12);
  }
  retransmit_at_ = kNever;  // the peer has done its part; it is we who are slow
  forgetAlert();
  sink_->question(psk.question());
}

void DtlsSession::answer(uint32_t number, PskAnswer answer, std::optional<Failure> failure,
                         Milliseconds now, SessionSink& sink) {
  if (state_ != State::Handshaking) return;
  const Step step(*this, sink);
  Negotiation& psk = handshake_->psk();
  if (role() == Role::Client && failure && psk.asking()) {
    cancelHandshake();
    return fail(std::move(*failure));
  }
  if (!psk.answer(number, std::move(answer))) return;
  lookup_failure_ = std::move(failure);
  releaseHeld(now);
}

void DtlsSession::releaseHeld(Milliseconds now) {
  screen().release();
  std::vector<Bytes> held = std::move(held_);
  held_.clear();
  for (const Bytes& bytes : held) {
    if (state_ == State::Ended) return;
    ByteView rest = bytes;
    const auto record = nextRecord(rest, connectionIdLength());
    if (state_ == State::Open) {
      readOpen(*record);
    } else if (record->type == content_type::kTls12Cid) {
      takeReframed(*record, now);
    } else {
      feed(*record, now);
    }
  }
}

void DtlsSession::feed(const DtlsRecord& record, Milliseconds now) {
  if (record.epoch == kEpoch) last_fed_ = record.sequence;
  wire_.incoming = record.whole;
  advance(now);
  if (state_ == State::Handshaking) suspectKey(now);
  if (state_ == State::Handshaking) retryEarly(now);
}

void DtlsSession::advance(Milliseconds now) {
  const uint64_t sent_before = stats_.datagrams_sent;
  const bool had_key = handshake_->psk().keyGiven();
  last_flight_.clear();
  const int done = SSL_do_handshake(handshake_->ssl());
  wire_.incoming = {};
  flushKeylog();
  if (done == 1) return finish();
  const int error = SSL_get_error(handshake_->ssl(), done);
  if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
    if (connection_id_ && connection_id_->refused()) return fail(connectionIdRefused());
    return fail(handshake_->explain());
  }
  const bool new_flight = last_timeout_ == 0 || stats_.datagrams_sent != sent_before;
  if (role() == Role::Client && handshake_->psk().keyGiven() && !had_key) {
    finished_sent_ = now;
    flights_unanswered_ = 1;
  }
  if (new_flight) {
    // Not after a retransmission: nobody knows which sending was answered (RFC 6298 section 3).
    const bool certain = flight_sent_ != 0 && stats_.retransmits == 0;
    if (certain && round_trip_ == 0 && role() == Role::Client) {
      round_trip_ = std::max<Milliseconds>(1, now - flight_sent_);
    }
    flight_sent_ = now;
    forgetAlert();
  }
  armRetransmission(now);
}

void DtlsSession::finish() {
  if (auto failure = handshake_->checkProved()) return fail(std::move(*failure));
  state_ = State::Open;
  retransmit_at_ = suspicion_at_ = alert_at_ = kNever;
  screen_.reset();
  held_.shrink_to_fit();
  size_t limit = std::min<size_t>(DTLS_get_data_mtu(handshake_->ssl()), kMaxMessage);
  const Opened opened = handshake_->opened();
  if (takeOver(last_fed_)) {
    const size_t id = records_->peerConnectionId().size();
    const size_t longer = id == 0 ? 0 : id + 1;  // the ID, and the type inside
    limit -= std::min(limit, longer);
  } else if (connection_id_ && connection_id_->agreed() && connection_id_->ids().used()) {
    // Its records must have IDs, which OpenSSL cannot give them.
    return fail({.message = "OpenSSL does not tell the keys of a session with connection IDs"});
  } else {
    handshake_->psk().wipeKey();
    last_flight_.clear();  // OpenSSL repeats it
  }
  sink_->opened(opened, limit);
  readEarlyRecords();
}

// ---- sending -----------------------------------------------------------------------------------

void DtlsSession::datagram(ByteView bytes) {
  ByteView rest = bytes;
  while (state_ == State::Handshaking && !rest.empty()) {
    const auto record = nextRecord(rest);
    if (!record) break;
    (record->epoch == 0 ? plaintext_sequence_ : encrypted_sequence_) = record->sequence + 1;
  }
  const bool with_id = state_ == State::Handshaking && connection_id_ && connection_id_->agreed() &&
                       !connection_id_->ids().peer.empty();
  with_id ? emitReframed(bytes) : emit(bytes);
}

void DtlsSession::emit(ByteView bytes) {
  if (state_ == State::Handshaking && role_ == Role::Server) {
    last_flight_.emplace_back(bytes.begin(), bytes.end());
  }
  stats_.datagrams_sent += 1;
  stats_.bytes_sent += bytes.size();
  sink_->datagram(bytes);
}

void DtlsSession::sendPlaintextAlert(int description) {
  datagram(plaintextAlert(kDtls12, plaintext_sequence_, alert::kFatal,
                          static_cast<uint8_t>(description)));
}

// Without a word the server would keep OpenSSL's SSL, and its place among the handshakes, until its
// handshakeTimeout. In the clear, since it may not have the keys; a server that has left epoch 0
// ignores it. One that has not answered yet has nothing to give up. A server's side stays silent: a
// client that starts over from the same port must not hear the goodbye of its first attempt.
void DtlsSession::cancelHandshake() {
  if (role_ != Role::Client || state_ != State::Handshaking || !heard_) return;
  Bytes goodbye;
  for (const uint8_t description : {alert::kUserCanceled, alert::kCloseNotify}) {
    const Bytes record =
        plaintextAlert(kDtls12, plaintext_sequence_++, alert::kWarning, description);
    goodbye.insert(goodbye.end(), record.begin(), record.end());
  }
  datagram(goodbye);
}

// ---- ending ------------------------------------------------------------------------------------

void DtlsSession::fail(Failure failure) {
  state_ = State::Ended;
  if (lookup_failure_) failure = std::move(*lookup_failure_);
  if (handshake_) handshake_->psk().wipeKey();
  sink_->ended(std::move(failure));
}

void DtlsSession::flushKeylog() {
  if (!handshake_) return;
  for (const std::string& line : handshake_->takeKeylog()) sink_->keylog(line);
}

}  // namespace mcbn
