#include "session/dtls_session.h"

#include <algorithm>
#include <utility>

#include "session/shortest_record.h"

namespace mcbn {
namespace {

// How long an alert in the clear, which anybody can send, waits for the handshake to go on in spite
// of it.
constexpr Milliseconds kAlertGrace = 250;
// RFC 6347 section 4.2.4.1: flights are repeated after 1 s, then at most twice the time.
constexpr Milliseconds kPeerRepeats = 2'500;
constexpr size_t kMaxMessage = 16'384;  // RFC 6347 section 4.1: a record's plaintext
constexpr uint16_t kEpoch = 1;
// Of records that overtook the Finished; UDP may lose what is more.
constexpr size_t kMaxEarlyBytes = 16'384;

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

void DtlsSession::receive(ByteView datagram, Milliseconds now, SessionSink& sink) {
  if (state_ == State::Ended) return;
  const Step step(*this, sink);
  stats_.datagrams_received += 1;
  stats_.bytes_received += datagram.size();
  if (state_ == State::Handshaking) heard_ = true;
  inspectAll(datagram, now);
}

void DtlsSession::inspectAll(ByteView records, Milliseconds now) {
  while (state_ != State::Ended && !records.empty()) {
    const auto record = nextRecord(records);
    if (!record) {
      stats_.records_dropped += 1;
      sink_->dropped(DropReason::Malformed);
      return;
    }
    if (!records_ && record->epoch > 0 && record->fragment.size() < shortestRecord()) {
      stats_.records_dropped += 1;
      sink_->dropped(DropReason::Malformed);
    } else if (state_ == State::Open) {
      readOpen(*record);
    } else {
      inspect(*record, now);
    }
  }
}

// Bytes that an encrypted fragment has at least.
size_t DtlsSession::shortestRecord() {
  if (shortest_record_ != 0) return shortest_record_;
  const SSL* ssl = handshake_->ssl();
  const SSL_CIPHER* cipher =
      state_ == State::Open ? SSL_get_current_cipher(ssl) : SSL_get_pending_cipher(ssl);
  if (!cipher) return SIZE_MAX;  // before the ServerHello nobody can have keys
  return shortest_record_ = shortestRecordOf(cipher);
}

void DtlsSession::inspect(const DtlsRecord& record, Milliseconds now) {
  const Verdict verdict =
      std::visit([&](auto& screen) { return screen.inspect(record); }, *screen_);
  if (verdict == Verdict::Drop) {
    stats_.records_dropped += 1;
    sink_->dropped(screen().dropReason());
    if (screen().dropReason() == DropReason::Duplicate) forgetAlert();
    return;
  }
  if (record.epoch == 0 && record.type == content_type::kAlert) return noteAlert(record, now);
  if (record.epoch > 0 && record.type != content_type::kHandshake) {
    // OpenSSL would keep it too, at 16 KB each.
    if (early_bytes_ + record.whole.size() > kMaxEarlyBytes)
      return sink_->dropped(DropReason::Flood);
    early_bytes_ += record.whole.size();
    early_.emplace_back(record.whole.begin(), record.whole.end());
    return;
  }
  if (verdict == Verdict::Hold) {
    held_.emplace_back(record.whole.begin(), record.whole.end());
    return settleKey(now);
  }
  feed(record, now);
  // A ServerKeyExchange that was late may complete the hint.
  if (state_ == State::Handshaking && screen().holding()) settleKey(now);
}

// Anybody can send an alert in the clear. It ends the handshake only if nothing else happens.
void DtlsSession::noteAlert(const DtlsRecord& record, Milliseconds now) {
  if (record.fragment.size() != 2 || record.fragment[0] != alert::kFatal) return;
  if (alert_hint_ != kNoAlert) return;
  Milliseconds grace = kAlertGrace;
  // While a key is looked up, a peer that is still there repeats itself, at growing intervals.
  if (handshake_->psk().asking()) grace = std::max(kPeerRepeats, 2 * (now - flight_sent_));
  alert_hint_ = record.fragment[1];
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
  if (role() == Role::Client && failure && psk.asking()) return fail(std::move(*failure));
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
    const auto record = nextRecord(rest);
    state_ == State::Open ? readOpen(*record) : feed(*record, now);
  }
}

void DtlsSession::feed(const DtlsRecord& record, Milliseconds now) {
  if (record.epoch == kEpoch) last_fed_ = record.sequence;
  wire_.incoming = record.whole;
  advance(now);
  if (state_ == State::Handshaking) suspectKey(now);
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
  const size_t limit = std::min<size_t>(DTLS_get_data_mtu(handshake_->ssl()), kMaxMessage);
  const Opened opened = handshake_->opened();
  if (!takeOver(last_fed_)) {
    handshake_->psk().wipeKey();
    last_flight_.clear();  // OpenSSL repeats it
  }
  sink_->opened(opened, limit);
  readEarlyRecords();
}

// From OpenSSL's record layer to ours. False: the session stays where it is.
bool DtlsSession::takeOver(uint64_t last_read) {
  if (options_.openssl_records) return false;
  const AeadSuite* suite = aeadSuiteOf(SSL_get_current_cipher(handshake_->ssl()));
  auto secrets = suite ? ExporterSecrets::of(handshake_->ssl()) : std::nullopt;
  auto keys = secrets ? secrets->recordKeys(*suite, role_) : std::nullopt;
  if (!keys) return false;
  records_ = std::make_unique<RecordLayer>(*suite, kEpoch, std::move(*keys), encrypted_sequence_,
                                           last_read, ciphers_);
  secrets_ = std::move(secrets);
  last_flight_.shrink_to_fit();
  identity_ = handshake_->psk().identity();
  flushKeylog();
  handshake_.reset();
  return true;
}

void DtlsSession::readEarlyRecords() {
  const std::vector<Bytes> early = std::exchange(early_, {});
  for (const Bytes& bytes : early) {
    if (state_ == State::Ended) return;
    ByteView rest = bytes;
    readOpen(*nextRecord(rest));
  }
}

void DtlsSession::readOpen(const DtlsRecord& record) {
  if (records_) return readRecord(record);
  wire_.incoming = record.whole;
  readMessages();
}

void DtlsSession::readRecord(const DtlsRecord& record) {
  uint8_t* const place = sink_->reserveMessage(record.fragment.size());
  const auto length = records_->open(record, place);
  if (!length) {
    stats_.records_dropped += 1;
    sink_->dropped(records_->dropReason());
    if (records_->dropReason() == DropReason::BadMac) endIfExhausted();
    return;
  }
  const ByteView content(place + records_->contentOffset(), *length);
  switch (record.type) {
    case content_type::kApplicationData:
      if (content.empty() || content.size() > kMaxMessage) return;  // RFC 5246 section 6.2.1
      stats_.messages_received += 1;
      return sink_->commitMessage(records_->contentOffset(), *length);
    case content_type::kHandshake:
      // A Finished again: ours was lost. A new handshake inside this one is not to be had.
      if (!content.empty() && content[0] == handshake_type::kFinished) return repeatLastFlight();
      return sendAlert(alert::kWarning, alert::kNoRenegotiation);
    case content_type::kAlert:
      return takeAlert(content);
    default:
      return;
  }
}

void DtlsSession::takeAlert(ByteView content) {
  if (content.size() != 2) return;
  const uint8_t description = content[1];
  if (description == alert::kCloseNotify) {
    sendAlert(alert::kWarning, alert::kCloseNotify);  // RFC 5246 section 7.2.1
    state_ = State::Ended;
    return sink_->ended(std::nullopt);
  }
  if (content[0] != alert::kFatal) return;
  fail({.code = "MCBN_CONNECTION_LOST",
        .message = "the peer ended the session with the alert " + alertName(description),
        .alert = description});
}

void DtlsSession::repeatLastFlight() {
  if (last_flight_.empty()) return;
  stats_.retransmits += 1;
  for (const Bytes& sent : last_flight_) datagram(sent);
}

void DtlsSession::sendAlert(uint8_t level, uint8_t description) {
  const uint8_t content[] = {level, description};
  const size_t size = records_->sealedSize(sizeof content);
  if (!records_->seal(content_type::kAlert, content, sink_->reserveDatagram(size))) return;
  stats_.datagrams_sent += 1;
  stats_.bytes_sent += size;
  sink_->commitDatagram(size);
}

void DtlsSession::endIfExhausted() {
  if (state_ != State::Open || !records_->exhausted()) return;
  sendAlert(alert::kWarning, alert::kCloseNotify);
  fail({.code = "MCBN_CONNECTION_LOST",
        .message = "the session's keys have protected, or refused, as many records as is safe (RFC "
                   "9147 section 4.5.3); connect again"});
}

// Delivers every message of the datagram that was offered; one may carry several records.
void DtlsSession::readMessages() {
  SSL* ssl = handshake_->ssl();
  while (state_ == State::Open) {
    const int length = SSL_read(ssl, sink_->reserveMessage(kMaxMessage), kMaxMessage);
    if (length > 0) {
      stats_.messages_received += 1;
      sink_->commitMessage(0, static_cast<size_t>(length));
      continue;
    }
    switch (SSL_get_error(ssl, length)) {
      case SSL_ERROR_WANT_READ:
      case SSL_ERROR_WANT_WRITE:
        return;
      case SSL_ERROR_ZERO_RETURN:
        SSL_shutdown(ssl);  // answer close_notify with our own (RFC 5246 section 7.2.1)
        state_ = State::Ended;
        sink_->ended(std::nullopt);
        return;
      default: {
        const OpensslError error = takeOpensslError();
        const int alert = handshake_->alertReceived();
        return fail({.code = alert != kNoAlert ? "MCBN_CONNECTION_LOST" : "MCBN_PROTOCOL_ERROR",
                     .message = alert != kNoAlert ? "the peer ended the session with the alert " +
                                                        alertName(alert)
                                                  : "the session broke: " + error.text,
                     .reason = error.text,
                     .alert = alert});
      }
    }
  }
}

// ---- sending -----------------------------------------------------------------------------------

bool DtlsSession::send(ByteView message, Milliseconds, SessionSink& sink) {
  if (state_ != State::Open) return false;
  const Step step(*this, sink);
  if (records_) {
    const size_t size = records_->sealedSize(message.size());
    uint8_t* const place = sink.reserveDatagram(size);
    if (!records_->seal(content_type::kApplicationData, message, place)) return false;
    sink.commitDatagram(size);
    stats_.datagrams_sent += 1;
    stats_.bytes_sent += size;
    endIfExhausted();
  } else if (SSL_write(handshake_->ssl(), message.data(), static_cast<int>(message.size())) <= 0) {
    return false;
  }
  stats_.messages_sent += 1;
  return true;
}

void DtlsSession::close(SessionSink& sink) {
  if (state_ == State::Ended) return;
  const Step step(*this, sink);
  if (records_) {
    sendAlert(alert::kWarning, alert::kCloseNotify);
  } else if (state_ == State::Open) {
    SSL_shutdown(handshake_->ssl());
  }
  state_ = State::Ended;
}

bool DtlsSession::exportKeyingMaterial(std::string_view label, std::optional<ByteView> context,
                                       std::span<uint8_t> out) const {
  if (!open()) return false;
  if (secrets_) return secrets_->exportKeyingMaterial(label, context, out);
  return handshake_->exportKeyingMaterial(label, context, out);
}

void DtlsSession::datagram(ByteView bytes) {
  ByteView rest = bytes;
  while (state_ == State::Handshaking && !rest.empty()) {
    const auto record = nextRecord(rest);
    if (!record) break;
    (record->epoch == 0 ? plaintext_sequence_ : encrypted_sequence_) = record->sequence + 1;
  }
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
