#include "session/dtls_handshake.h"

#include <algorithm>
#include <utility>

namespace mcbn {
namespace {

// What OpenSSL takes at least (SSL_set_max_send_fragment).
constexpr size_t kSmallestSendFragment = 512;
// Of records that overtook what they need; UDP may lose what is more.
constexpr size_t kMaxEarlyBytes = 16'384;

// After it the peer may send as many unproven records again.
constexpr Milliseconds kRefillInterval = 250;

// Of a fallback's first record: the attempt at DTLS 1.3 goes on beside it under lower numbers, and a peer
// takes a number that it has seen for a replay.
constexpr uint64_t kFallbackNumber = 1 << 16;

}  // namespace

// Sets what one call into the handshake needs, and cleans up behind it on every path.
class DtlsHandshake::Turn {
 public:
  Turn(DtlsHandshake& handshake, SessionStep& step) : handshake_(handshake) {
    MCBN_ASSERT(!handshake.done() && !handshake.step_);
    handshake_.step_ = &step;
    handshake_.outbox_.use(&step);
  }
  ~Turn() {
    if (handshake_.ssl_) {
      handshake_.flushKeylog();
      handshake_.ssl_->wire.incoming = {};
    }
    handshake_.outbox_.use(nullptr);
    handshake_.step_ = nullptr;
  }

 private:
  DtlsHandshake& handshake_;
};

DtlsHandshake::DtlsHandshake(std::shared_ptr<const Context> context, const DtlsOptions& options)
    : options_(options),
      role_(context->role()),
      ssl_(std::make_unique<DatagramSsl>(std::move(context), options.keylog)),
      ids_(ssl(), role_),
      outbox_(role_, options.mtu, ids_),
      timers_(role_, options.handshake_timeout, options.retransmit_timeout),
      proof_(ssl(), role_) {
  ssl_->wire.mtu = options_.mtu;
  ssl_->wire.outgoing = &outbox_;
  BIO* bio = ssl() ? newDatagramBio(&ssl_->wire) : nullptr;
  if (!bio) return;
  usable_ = true;
  SSL_set_bio(ssl(), bio, bio);
  SSL_set_app_data(ssl(), this);
  SSL_set_mtu(ssl(), static_cast<long>(options_.mtu));
  // No record is longer than a datagram: OpenSSL's buffer for one need not be either, of 16 KB.
  SSL_set_max_send_fragment(ssl(), static_cast<long>(std::clamp<size_t>(
                                       options_.mtu, kSmallestSendFragment, kMaxMessage)));
  DTLS_set_timer_cb(ssl(), onTimer);
  if (!options_.falls_back) return;
  SSL_set_mode(ssl(), SSL_MODE_SEND_FALLBACK_SCSV);
  outbox_.beginAt(kFallbackNumber);
}

Milliseconds DtlsHandshake::deadline() const {
  return std::min(timers_.deadline(), guarded_ ? guarded_->deadline() : kNever);
}

bool DtlsHandshake::awaitsFinished() const {
  if (!screen_) return false;
  return std::visit([](const auto& screen) { return screen.changeCipherSpecSeen(); }, *screen_);
}

HandshakeScreen& DtlsHandshake::screen() {
  MCBN_ASSERT(screen_);
  return std::visit([](auto& screen) -> HandshakeScreen& { return screen; }, *screen_);
}

// ---- beginning ---------------------------------------------------------------------------------

void DtlsHandshake::useConnectionId(Bytes own) {
  MCBN_ASSERT(!screen_);
  if (!options_.openssl_records && usable_) ids_.want(std::move(own));
}

void DtlsHandshake::accept(ByteView& records, SessionStep& step) {
  MCBN_ASSERT(role_ == Role::Server && !screen_);
  const Turn turn(*this, step);
  timers_.begin(step.now);
  heard_ = true;
  if (!usable_) return fail({.message = "OpenSSL has no memory for a session"});
  screen_.emplace(std::in_place_type<ServerScreen>, true);
  const auto record = nextRecord(records);
  if (!record || std::get<ServerScreen>(*screen_).inspect(*record) != Verdict::Pass) {
    return fail({.code = "MCBN_HANDSHAKE_FAILED", .message = "the ClientHello is malformed"});
  }
  // DTLSv1_listen() is how OpenSSL is told that the cookie exchange is over: the ClientHello with
  // the cookie has message_seq 1, which a plain handshake would file as a message from the future.
  // Its callbacks approve, since the cookie was verified before this session existed.
  next_plaintext_ = record->sequence + 1;
  outbox_.beginAt(record->sequence);
  BIO_ADDR* nobody = BIO_ADDR_new();
  ssl_->wire.incoming = record->whole;
  const int listened = nobody ? DTLSv1_listen(ssl(), nobody) : -1;
  BIO_ADDR_free(nobody);
  if (listened != 1) {
    const OpensslError error = takeOpensslError();
    return fail({.code = "MCBN_HANDSHAKE_FAILED",
                 .message = "OpenSSL refused the ClientHello: " + error.words(),
                 .reason = error.text});
  }
  SSL_set_mtu(ssl(), static_cast<long>(options_.mtu));
  advance();
  receiveAll(records);  // further fragments of the ClientHello
}

void DtlsHandshake::connect(std::optional<std::pair<Identity, PskEntry>> key, SessionStep& step) {
  MCBN_ASSERT(role_ == Role::Client && !screen_);
  const Turn turn(*this, step);
  timers_.begin(step.now);
  if (!usable_) return fail({.message = "OpenSSL has no memory for a session"});
  screen_.emplace(std::in_place_type<ClientScreen>, !key.has_value());
  if (guards_) std::get<ClientScreen>(*screen_).followSeveral();
  if (key) handshake().useKey(std::move(key->first), std::move(key->second));
  if (!options_.servername.empty() && !handshake().setServername(options_.servername)) {
    return fail({.code = "MCBN_OPTION_RANGE", .message = "servername: OpenSSL refused it"});
  }
  SSL_set_connect_state(ssl());
  advance();
}

// ---- receiving ---------------------------------------------------------------------------------

void DtlsHandshake::receive(ByteView& records, SessionStep& step) {
  const Turn turn(*this, step);
  heard_ = true;
  if (step.now - refilled_ >= kRefillInterval) {
    refilled_ = step.now;
    screen().refill();
  }
  receiveAll(records);
}

void DtlsHandshake::receiveAll(ByteView& records) {
  while (!over() && !records.empty()) {
    const auto record = nextRecord(records, ids_.lengthToUs());
    if (!record) {
      records = {};
      step_->drop(DropReason::Malformed);
    } else if (record->epoch > 0 && record->fragment.size() < shortestRecord()) {
      step_->drop(DropReason::Malformed);
    } else {
      inspect(*record);
    }
  }
}

// Of an encrypted fragment, in bytes; before the ServerHello nobody can have keys.
size_t DtlsHandshake::shortestRecord() {
  if (shortest_record_ != 0) return shortest_record_;
  const SSL_CIPHER* const cipher = SSL_get_pending_cipher(ssl());
  return cipher ? shortest_record_ = shortestEncrypted(cipher) : SIZE_MAX;
}

void DtlsHandshake::inspect(const DtlsRecord& record) {
  if (foreign(record)) return step_->drop(DropReason::UnexpectedMessage);
  if (!ids_.isDue(record)) return step_->drop(DropReason::ConnectionId);
  const Verdict verdict =
      std::visit([&](auto& screen) { return screen.inspect(record); }, *screen_);
  if (verdict == Verdict::Drop) {
    if (screen().dropReason() == DropReason::Flood && provesItself(record)) return feed(record);
    step_->drop(screen().dropReason());
    if (screen().dropReason() == DropReason::Duplicate) noteDuplicate();
    if (role_ == Role::Client) noteCookie();
    return;
  }
  role_ == Role::Server ? noteFinished(record) : noteCookie();
  if (record.epoch == 0 && record.type == content_type::kAlert) return noteAlert(record);
  const bool with_id = record.type == content_type::kTls12Cid;
  if (record.epoch > 0 && record.type != content_type::kHandshake && !with_id) {
    return keepEarly(record);
  }
  if (verdict == Verdict::Hold) {
    held_.emplace_back(record.whole.begin(), record.whole.end());
    return settleKey();
  }
  with_id ? takeReframed(record) : feed(record);
  // A ServerKeyExchange that was late may complete the hint.
  if (!over() && screen().holding()) settleKey();
}

// Held back: the peer's key exchange is here, and OpenSSL would ask for the key next.
void DtlsHandshake::settleKey() {
  Negotiation& psk = handshake().psk();
  if (psk.asking() || psk.state() != Negotiation::State::None) return;
  if (role_ == Role::Server) {
    const auto identity = std::get<ServerScreen>(*screen_).identity();
    if (!identity) return;
    const Identity asked(identity->begin(), identity->end());
    if (psk.needsQuestion(asked) && !step_->sink.mayAsk()) {
      held_.clear();
      std::get<ServerScreen>(*screen_).forgetKeyExchange();
      return;
    }
    timers_.keyExchangeReceived(step_->now);
    if (psk.resolve(asked, Protocol::Dtls12)) return releaseHeld();
  } else {
    const auto hint = std::get<ClientScreen>(*screen_).hint();
    if (!hint) return;
    psk.askForHint(
        hint->empty() ? std::nullopt : std::optional<std::string>({hint->begin(), hint->end()}),
        Protocol::Dtls12);
  }
  timers_.keyAsked();
  step_->sink.question(psk.question());
}

void DtlsHandshake::answer(uint32_t number, PskAnswer answer, std::optional<Failure> failure,
                           SessionStep& step) {
  const Turn turn(*this, step);
  Negotiation& psk = handshake().psk();
  if (role_ == Role::Client && failure && psk.asking()) {
    sayGoodbye();
    return fail(std::move(*failure));
  }
  if (!psk.answer(number, std::move(answer))) return;
  lookup_failure_ = std::move(failure);
  releaseHeld();
}

void DtlsHandshake::releaseHeld() {
  screen().release();
  takeAll(std::exchange(held_, {}));
}

// Records that were kept; those that are left when the handshake is done are the open session's.
void DtlsHandshake::takeAll(const std::vector<Bytes>& kept) {
  for (const Bytes& bytes : kept) {
    if (step_->ended) return;
    if (done()) {
      result_->early.push_back(bytes);
      continue;
    }
    ByteView rest = bytes;
    const auto record = nextRecord(rest, ids_.lengthToUs());
    MCBN_ASSERT(record && rest.empty());  // it was one record when it was kept
    record->type == content_type::kTls12Cid ? takeReframed(*record) : feed(*record);
  }
}

// A tls12_cid record: a Finished goes on to OpenSSL, the rest waits.
void DtlsHandshake::takeReframed(const DtlsRecord& record) {
  if (!ids_.ready()) return keepEarly(record);
  const auto incoming = ids_.incoming(record);
  if (!incoming) {
    step_->drop(DropReason::BadMac);
    return noteKey(KeyProof::Verdict::Wrong);
  }
  noteKey(KeyProof::Verdict::Right);
  if (incoming->type != content_type::kHandshake) return keepEarly(record);
  ByteView rest = incoming->record;
  feed(*nextRecord(rest));
}

// A Finished may have come before the ClientKeyExchange that its keys are made from.
void DtlsHandshake::retryEarly() {
  if (early_.empty() || ids_.lengthToUs() == 0 || ids_.wasReady() || !ids_.ready()) return;
  early_bytes_ = 0;
  takeAll(std::exchange(early_, {}));
}

// OpenSSL would keep it too, at 16 KB each.
void DtlsHandshake::keepEarly(const DtlsRecord& record) {
  if (early_bytes_ + record.whole.size() > kMaxEarlyBytes) return step_->drop(DropReason::Flood);
  early_bytes_ += record.whole.size();
  early_.emplace_back(record.whole.begin(), record.whole.end());
}

void DtlsHandshake::feed(const DtlsRecord& record) {
  // In the clear a number proves nothing, but OpenSSL's replay window believes it: one forged record
  // from far ahead would close the window to all that follows. So records are numbered as they pass.
  Bytes numbered;
  if (record.epoch == kEpoch) {
    last_fed_ = record.sequence;
    ssl_->wire.incoming = record.whole;
  } else {
    numbered = withSequence(record, next_plaintext_++);
    ssl_->wire.incoming = numbered;
  }
  advance();
  // One that had a connection ID has been opened already.
  const bool judge = role_ == Role::Server && record.epoch == kEpoch && ids_.lengthToUs() == 0;
  if (!over() && judge) noteKey(proof_.judge(record));
  if (!over()) retryEarly();
}

void DtlsHandshake::advance() {
  const uint64_t sent_before = step_->stats.datagrams_sent;
  const bool had_key = handshake().psk().keyGiven();
  outbox_.beginFlight();
  const int result = SSL_do_handshake(ssl());
  ssl_->wire.incoming = {};
  flushKeylog();
  if (options_.falls_back && refusesDowngrade()) return;
  if (result == 1) return finish();
  const int error = SSL_get_error(ssl(), result);
  if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
    return fail(ids_.refused() ? HandshakeIds::refusal() : handshake().explain());
  }
  const bool new_flight = !timers_.waited() || step_->stats.datagrams_sent != sent_before;
  if (role_ == Role::Client && handshake().psk().keyGiven() && !had_key) {
    timers_.finishedSent(step_->now);
  }
  if (new_flight) timers_.flightSent(step_->now, step_->stats.retransmits == 0);
  timeval left;
  // OpenSSL keeps its timer by the wall clock; only whether it runs is asked of it.
  timers_.setWaiting(step_->now, DTLSv1_get_timeout(ssl(), &left) == 1);
}

// ---- the end of a good handshake ---------------------------------------------------------------

// RFC 6066 section 4: 1 to 4 stand for 512 to 4,096 bytes. OpenSSL agrees to it by itself.
size_t DtlsHandshake::maxFragment() const {
  const uint8_t code = SSL_SESSION_get_max_fragment_length(SSL_get_session(ssl()));
  return code >= 1 && code <= 4 ? size_t{256} << code : kMaxMessage;
}

void DtlsHandshake::finish() {
  auto proved = handshake().prove();
  if (auto* const failure = std::get_if<Failure>(&proved)) return fail(std::move(*failure));
  size_t limit = DTLS_get_data_mtu(ssl());
  std::optional<OpenState> open = openState(std::get<Proved>(proved));
  if (open) {
    const size_t id = open->ids.peer.size();
    if (id != 0) limit -= std::min(limit, id + 1);  // the ID, and the type inside
  } else if (ids_.ids().used()) {
    return fail({.message = "OpenSSL does not tell the keys of a session with connection IDs"});
  }
  limit = std::min(limit, maxFragment());
  result_ = std::make_unique<HandshakeResult>(HandshakeResult{std::get<Proved>(std::move(proved)),
                                                              limit, std::unique_ptr<DatagramSsl>(),
                                                              std::exchange(early_, {})});
  if (open) result_->goes_on = std::move(*open);
}

// What the record layer goes on with; nullopt: OpenSSL keeps the records.
std::optional<OpenState> DtlsHandshake::openState(const Proved& proved) {
  if (options_.openssl_records) return std::nullopt;
  const SSL_CIPHER* const cipher = SSL_get_current_cipher(ssl());
  const AeadSuite* const suite = aeadSuiteOf(cipher);
  auto secrets = suite ? ExporterSecrets::of(ssl()) : std::nullopt;
  auto keys = secrets ? secrets->recordKeys(*suite, role_) : std::nullopt;
  if (!keys) return std::nullopt;
  return OpenState{.cipher = cipher,
                   .role = role_,
                   .secrets = std::move(*secrets),
                   .position = {.next_write = outbox_.nextEncrypted(), .newest_read = last_fed_},
                   .max_fragment = maxFragment(),
                   .ids = ids_.ids(),
                   .return_routability = ids_.returnRoutability(),
                   .identity = identity(),
                   .names = {proved.opened().alpn, proved.opened().servername},
                   .round_trip = timers_.roundTrip(),
                   .last_flight = outbox_.takeLastFlight(),
                   .keys = std::move(*keys),
                   .replay_window = options_.replay_window,
                   .forgery_limit = options_.forgery_limit};
}

HandshakeResult DtlsHandshake::takeResult() {
  MCBN_ASSERT(done() && !step_);
  if (!std::holds_alternative<OpenState>(result_->goes_on)) {
    ConnectionIdExtension::detach(ssl());
    result_->goes_on = std::move(ssl_);
  }
  return std::move(*result_);
}

// ---- giving up ---------------------------------------------------------------------------------

void DtlsHandshake::cancel(SessionStep& step) {
  const Turn turn(*this, step);
  sayGoodbye();
}

// Without a word the server would keep OpenSSL's SSL, and its place among the handshakes, until its
// handshakeTimeout. In the clear, since it may not have the keys; a server that has left epoch 0
// ignores it. One that has not answered yet has nothing to give up. A server's side stays silent: a
// client that starts over from the same port must not hear the goodbye of its first attempt.
void DtlsHandshake::sayGoodbye() {
  if (role_ == Role::Client && heard_) outbox_.sendGoodbye();
}

// ---- time --------------------------------------------------------------------------------------

void DtlsHandshake::expire(SessionStep& step) {
  const Turn turn(*this, step);
  const Identity& identity = handshake().psk().identity();
  switch (timers_.due(step.now)) {
    case HandshakeTimers::Due::Nothing:
      return;
    case HandshakeTimers::Due::WrongKey: {
      // Told by the alert of RFC 4279 section 2 that an unknown identity gets as well.
      Failure failure = handshake().explain();
      if (handshake().psk().state() == Negotiation::State::Known) {
        failure = {.code = "MCBN_PSK_MISMATCH",
                   .message = "the client's key for identity " + quoted(identity) +
                              " differs from the server's; compare both"};
      }
      failure.alert = alert::kDecryptError;
      outbox_.sendAlert(alert::kFatal, alert::kDecryptError);
      return fail(std::move(failure));
    }
    case HandshakeTimers::Due::Alert:
      return fail(handshake().explainPeerAlert(alert_hint_));
    case HandshakeTimers::Due::Timeout:
      sayGoodbye();
      return fail({.code = "MCBN_HANDSHAKE_TIMEOUT", .message = explainTimeout()});
    case HandshakeTimers::Due::Silence:
      return fail({.code = "MCBN_PSK_MISMATCH",
                   .message = explainSilence() + "its key for identity " + quoted(identity) +
                              " probably differs from the client's; compare both"});
    case HandshakeTimers::Due::Retransmission:
      return retransmit();
  }
}

// ---- ending ------------------------------------------------------------------------------------

void DtlsHandshake::fail(Failure failure) {
  if (lookup_failure_) failure = std::move(*lookup_failure_);
  handshake().psk().wipeKey();
  step_->end(failure);
}

void DtlsHandshake::flushKeylog() {
  for (const std::string& line : handshake().takeKeylog()) step_->sink.keylog(line);
}

}  // namespace mcbn
