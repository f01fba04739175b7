#include "session/dtls_session.h"

#include <openssl/err.h>

#include <algorithm>

#include "session/shortest_record.h"

namespace mcbn {
namespace {

constexpr Milliseconds kFirstTimeout = 1'000;  // RFC 6347 section 4.2.4.1
constexpr Milliseconds kShortestTimeout = 250;
constexpr Milliseconds kLongestTimeout = 60'000;
// How long a good Finished may follow one that could not be read: about a round trip.
constexpr Milliseconds kShortestGrace = 30;
constexpr Milliseconds kLongestGrace = 250;
// How long an alert in the clear, which anybody can send, waits for the handshake to go on in spite of it.
constexpr Milliseconds kAlertGrace = 250;
// RFC 6347 section 4.2.4.1: flights are repeated after 1 s, then at most twice the time.
constexpr Milliseconds kPeerRepeats = 2'500;
// A client names a silent server after this many sendings of its Finished, and not before this share of
// the handshake's time: a server may be busy looking the key up.
constexpr unsigned kUnansweredFlights = 5;
constexpr Milliseconds kSilencePerMille = 400;
constexpr Milliseconds kDefaultPatience = 4'000;
constexpr size_t kMaxMessage = 16'384;  // RFC 6347 section 4.1: a record's plaintext

const char* secondsText(Milliseconds milliseconds, std::string& out) {
  out = std::to_string(milliseconds / 1000) + "." + std::to_string(milliseconds % 1000 / 100) + " s";
  return out.c_str();
}

}  // namespace

// Sets what one call into the session needs, and cleans up behind it on every path.
class DtlsSession::Step {
 public:
  Step(DtlsSession& session, SessionSink& sink) : session_(session) {
    session_.sink_ = &sink;
    session_.wire_.outgoing = &session_;
    ERR_clear_error();
  }
  ~Step() {
    session_.flushKeylog();
    session_.sink_ = nullptr;
    session_.wire_.outgoing = nullptr;
    session_.wire_.incoming = {};
    ERR_clear_error();
  }

 private:
  DtlsSession& session_;
};

DtlsSession::DtlsSession(std::shared_ptr<const Context> context, const DtlsOptions& options)
    : options_(options), handshake_(std::move(context), options.keylog) {
  wire_.mtu = options_.mtu;
  SSL* ssl = handshake_.ssl();
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

// ---- beginning --------------------------------------------------------------------------------------

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
  // DTLSv1_listen() is how OpenSSL is told that the cookie exchange is over: the ClientHello with the
  // cookie has message_seq 1, which a plain handshake would file as a message from the future. Its
  // callbacks approve, since the cookie was verified before this session existed.
  SSL* ssl = handshake_.ssl();
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
  if (key) handshake_.useKey(std::move(key->first), std::move(key->second));
  if (!options_.servername.empty() && !handshake_.setServername(options_.servername)) {
    return fail({.code = "MCBN_OPTION_RANGE", .message = "servername: OpenSSL refused it"});
  }
  SSL_set_connect_state(handshake_.ssl());
  advance(now);
}

// ---- receiving --------------------------------------------------------------------------------------

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
    if (record->epoch > 0 && record->fragment.size() < shortestRecord()) {
      stats_.records_dropped += 1;
      sink_->dropped(DropReason::Malformed);
    } else if (state_ == State::Open) {
      wire_.incoming = record->whole;
      readMessages(now);
    } else {
      inspect(*record, now);
    }
  }
}

// Bytes that an encrypted fragment has at least.
size_t DtlsSession::shortestRecord() {
  if (shortest_record_ != 0) return shortest_record_;
  const SSL* ssl = handshake_.ssl();
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
  if (verdict == Verdict::Hold) {
    held_.emplace_back(record.whole.begin(), record.whole.end());
    return settleKey(now);
  }
  feed(record.whole, now);
  // A ServerKeyExchange that was late may complete the hint.
  if (state_ == State::Handshaking && screen().holding()) settleKey(now);
}

// Anybody can send an alert in the clear. It ends the handshake only if nothing else happens.
void DtlsSession::noteAlert(const DtlsRecord& record, Milliseconds now) {
  if (record.fragment.size() != 2 || record.fragment[0] != alert::kFatal) return;
  if (alert_hint_ != kNoAlert) return;
  Milliseconds grace = kAlertGrace;
  // While a key is looked up, a peer that is still there repeats itself, at growing intervals.
  if (handshake_.psk().asking()) grace = std::max(kPeerRepeats, 2 * (now - flight_sent_));
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
  Negotiation& psk = handshake_.psk();
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
    psk.askForHint(hint->empty() ? std::nullopt
                                 : std::optional<std::string>({hint->begin(), hint->end()}),
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
  Negotiation& psk = handshake_.psk();
  if (role() == Role::Client && failure && psk.asking()) return fail(std::move(*failure));
  if (!psk.answer(number, std::move(answer))) return;
  lookup_failure_ = std::move(failure);
  releaseHeld(now);
}

void DtlsSession::releaseHeld(Milliseconds now) {
  screen().release();
  std::vector<Bytes> held = std::move(held_);
  held_.clear();
  for (const Bytes& record : held) {
    if (state_ == State::Ended) return;
    if (state_ == State::Open) {
      wire_.incoming = record;
      readMessages(now);
    } else {
      feed(record, now);
    }
  }
}

void DtlsSession::feed(ByteView record, Milliseconds now) {
  wire_.incoming = record;
  advance(now);
  if (state_ == State::Handshaking) suspectKey(now);
}

void DtlsSession::advance(Milliseconds now) {
  const uint64_t sent_before = stats_.datagrams_sent;
  const bool had_key = handshake_.psk().keyGiven();
  const int done = SSL_do_handshake(handshake_.ssl());
  wire_.incoming = {};
  flushKeylog();
  if (done == 1) return finish(now);
  const int error = SSL_get_error(handshake_.ssl(), done);
  if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
    return fail(handshake_.explain());
  }
  const bool new_flight = last_timeout_ == 0 || stats_.datagrams_sent != sent_before;
  if (role() == Role::Client && handshake_.psk().keyGiven() && !had_key) {
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

void DtlsSession::finish(Milliseconds now) {
  if (auto failure = handshake_.checkProved()) return fail(std::move(*failure));
  state_ = State::Open;
  retransmit_at_ = suspicion_at_ = alert_at_ = kNever;
  screen_.reset();
  held_.shrink_to_fit();
  const size_t limit = std::min<size_t>(DTLS_get_data_mtu(handshake_.ssl()), kMaxMessage);
  handshake_.psk().wipeKey();
  sink_->opened(handshake_.opened(), limit);
  readMessages(now);
}

// Delivers every message of the datagram that was offered; one may carry several records.
void DtlsSession::readMessages(Milliseconds) {
  SSL* ssl = handshake_.ssl();
  while (state_ == State::Open) {
    const int length = SSL_read(ssl, sink_->reserveMessage(kMaxMessage), kMaxMessage);
    if (length > 0) {
      stats_.messages_received += 1;
      sink_->commitMessage(static_cast<size_t>(length));
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
        const int alert = handshake_.alertReceived();
        return fail({.code = alert != kNoAlert ? "MCBN_CONNECTION_LOST" : "MCBN_PROTOCOL_ERROR",
                     .message = alert != kNoAlert
                                    ? "the peer ended the session with the alert " + alertName(alert)
                                    : "the session broke: " + error.text,
                     .reason = error.text,
                     .alert = alert});
      }
    }
  }
}

// ---- sending ----------------------------------------------------------------------------------------

bool DtlsSession::send(ByteView message, Milliseconds, SessionSink& sink) {
  if (state_ != State::Open) return false;
  const Step step(*this, sink);
  const int written =
      SSL_write(handshake_.ssl(), message.data(), static_cast<int>(message.size()));
  if (written <= 0) return false;
  stats_.messages_sent += 1;
  return true;
}

void DtlsSession::close(SessionSink& sink) {
  if (state_ == State::Ended) return;
  const Step step(*this, sink);
  if (state_ == State::Open) SSL_shutdown(handshake_.ssl());
  state_ = State::Ended;
}

void DtlsSession::datagram(ByteView bytes) {
  ByteView rest = bytes;
  while (state_ == State::Handshaking && !rest.empty()) {
    const auto record = nextRecord(rest);
    if (record && record->epoch == 0) plaintext_sequence_ = record->sequence + 1;
  }
  stats_.datagrams_sent += 1;
  stats_.bytes_sent += bytes.size();
  sink_->datagram(bytes);
}

void DtlsSession::sendPlaintextAlert(int description) {
  datagram(plaintextAlert(kDtls12, plaintext_sequence_, alert::kFatal,
                          static_cast<uint8_t>(description)));
}

// ---- time -------------------------------------------------------------------------------------------

Milliseconds DtlsSession::deadline() const {
  if (state_ != State::Handshaking) return kNever;
  const Milliseconds limit =
      options_.handshake_timeout == 0 ? kNever : started_ + options_.handshake_timeout;
  return std::min({limit, retransmit_at_, suspicion_at_, alert_at_});
}

void DtlsSession::expire(Milliseconds now, SessionSink& sink) {
  if (state_ != State::Handshaking) return;
  const Step step(*this, sink);
  if (suspicion_at_ <= now) {
    // Told by the alert of RFC 4279 section 2 that an unknown identity gets as well.
    Failure failure = handshake_.explain();
    if (handshake_.psk().state() == Negotiation::State::Known) {
      failure = {.code = "MCBN_PSK_MISMATCH",
                 .message = "the client's key for identity " + quoted(handshake_.psk().identity()) +
                            " differs from the server's; compare both"};
    }
    failure.alert = kDecryptError;
    sendPlaintextAlert(kDecryptError);
    return fail(std::move(failure));
  }
  if (alert_at_ <= now) return fail(handshake_.explainPeerAlert(alert_hint_));
  if (options_.handshake_timeout != 0 && started_ + options_.handshake_timeout <= now) {
    std::string time;
    secondsText(options_.handshake_timeout, time);
    return fail({.code = "MCBN_HANDSHAKE_TIMEOUT",
                 .message = heard_ ? "the handshake was not finished within " + time
                                   : "nobody answered within " + time +
                                         "; check host, port and firewall"});
  }
  if (retransmit_at_ <= now) retransmit(now);
}

unsigned DtlsSession::onTimer(SSL* ssl, unsigned microseconds) {
  auto* self = static_cast<DtlsSession*>(SSL_get_app_data(ssl));
  Milliseconds next = microseconds / 1000 * 2;
  if (microseconds == 0) {
    next = self->options_.retransmit_timeout;
    if (next == 0) {
      next = self->round_trip_ == 0
                 ? kFirstTimeout
                 : std::clamp(4 * self->round_trip_, kShortestTimeout, kFirstTimeout);
    }
  }
  self->last_timeout_ = std::min(next, kLongestTimeout);
  return static_cast<unsigned>(self->last_timeout_ * 1000);
}

void DtlsSession::armRetransmission(Milliseconds now) {
  timeval left;
  // OpenSSL keeps its timer by the wall clock; only whether it runs is asked of it.
  if (DTLSv1_get_timeout(handshake_.ssl(), &left) != 1) {
    retransmit_at_ = kNever;
  } else if (retransmit_at_ == kNever || flight_sent_ == now) {
    retransmit_at_ = now + last_timeout_;
  }
}

void DtlsSession::retransmit(Milliseconds now) {
  nameSilence(now);
  if (state_ == State::Ended) return;
  const int handled = DTLSv1_handle_timeout(handshake_.ssl());
  if (handled < 0) {
    return fail({.code = "MCBN_HANDSHAKE_TIMEOUT",
                 .message = "the peer did not answer any retransmission"});
  }
  if (handled == 0) {
    retransmit_at_ = now + 5;  // the wall clock lags behind ours
    return;
  }
  stats_.retransmits += 1;
  if (flights_unanswered_ > 0) flights_unanswered_ += 1;
  retransmit_at_ = now + last_timeout_;
  const Milliseconds patience = options_.handshake_timeout == 0
                                    ? kDefaultPatience
                                    : options_.handshake_timeout * kSilencePerMille / 1000;
  if (flights_unanswered_ >= kUnansweredFlights) {
    retransmit_at_ = std::min(retransmit_at_, std::max(finished_sent_ + patience, now + kShortestTimeout));
  }
}

// DTLS 1.2 drops a Finished it cannot read without a word (RFC 6347 section 4.1.2.7).
void DtlsSession::nameSilence(Milliseconds now) {
  if (role() != Role::Client || flights_unanswered_ < kUnansweredFlights) return;
  const Milliseconds patience = options_.handshake_timeout == 0
                                    ? kDefaultPatience
                                    : options_.handshake_timeout * kSilencePerMille / 1000;
  if (now < finished_sent_ + patience) return;
  std::string time;
  fail({.code = "MCBN_PSK_MISMATCH",
        .message = "the server fell silent after our Finished (" + std::to_string(flights_unanswered_) +
                   " sent in " + secondsText(now - finished_sent_, time) + "): its key for identity " +
                   quoted(handshake_.psk().identity()) + " probably differs from the client's; compare both"});
}

// The server's side of the same silence: encrypted handshake records have come, the key is in use, and
// the handshake is still not done.
void DtlsSession::suspectKey(Milliseconds now) {
  if (role() != Role::Server || suspicion_at_ != kNever) return;
  HandshakeScreen& screen = this->screen();
  if (!handshake_.psk().keyGiven() || screen.holding() || !screen.changeCipherSpecSeen()) return;
  if (screen.encryptedHandshakeRecords() == 0) return;
  suspicion_at_ = now + std::clamp(round_trip_, kShortestGrace, kLongestGrace);
}

// ---- ending -----------------------------------------------------------------------------------------

void DtlsSession::fail(Failure failure) {
  state_ = State::Ended;
  if (lookup_failure_) failure = std::move(*lookup_failure_);
  handshake_.psk().wipeKey();
  sink_->ended(std::move(failure));
}

void DtlsSession::flushKeylog() {
  for (const std::string& line : handshake_.takeKeylog()) sink_->keylog(line);
}

}  // namespace mcbn
