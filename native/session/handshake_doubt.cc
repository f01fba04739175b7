// What a DtlsHandshake does about messages that anybody can have sent, and because time passes.
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <utility>

#include "record/downgrade.h"
#include "session/dtls_handshake.h"

namespace mcbn {
namespace {

// After so many repeats of a hello with a cookie that nobody answers, the cookie is doubted.
constexpr unsigned kCookieRepeats = 2;
// A timer that is later than this was not late: the clock was set.
constexpr Milliseconds kClockLag = 100;
// Of a record number's 48 bits a guarded handshake begins with so many at random: nobody guesses one of 2^31
// in the time of a handshake. wolfSSL 5.5 answers no hello whose number has more than 32.
constexpr unsigned kGuardBits = 31;

std::optional<uint64_t> unguessableNumber() {
  uint64_t number = 0;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(&number), sizeof number) != 1)
    return std::nullopt;
  return number >> (64 - kGuardBits);
}

std::string secondsText(Milliseconds milliseconds) {
  return std::to_string(milliseconds / 1000) + "." + std::to_string(milliseconds % 1000 / 100) +
         " s";
}

}  // namespace

// Whether a Finished came in the datagram of the ClientKeyExchange: then it is the client's if that is.
void DtlsHandshake::noteFinished(const DtlsRecord& record) {
  const uint64_t datagram = step_->stats.datagrams_received;
  const bool complete = std::get<ServerScreen>(*screen_).keyExchangeComplete();
  if (exchange_datagram_ == 0 && complete) exchange_datagram_ = datagram;
  if (record.epoch > 0 && exchange_datagram_ == datagram) finished_with_exchange_ = true;
}

// Anybody can send a HelloVerifyRequest, and the first is followed. When what came of it leads nowhere
// the server was asked for another cookie; if it gives one, the first was a stranger's.
void DtlsHandshake::noteCookie() {
  const auto& client = std::get<ClientScreen>(*screen_);
  if (client.followedCookie()) outbox_.keepFirstFlight();
  if (!client.awaitsServerHello()) cookie_repeats_ = 0;
  if (!client.otherCookie()) return;
  contested_ = true;
  if (cookie_repeats_ >= kCookieRepeats) starts_anew_ = true;
}

std::unique_ptr<DtlsHandshake> DtlsHandshake::freshStart(SessionStep& step) {
  auto fresh = another(outbox_.sharedNumbers(), false, step);
  fresh->guarded_ = std::move(guarded_);
  return fresh;
}

// The same attempt once more. `numbers`: of its records in the clear; null: its own.
std::unique_ptr<DtlsHandshake> DtlsHandshake::another(std::shared_ptr<uint64_t> numbers,
                                                      bool guarded, SessionStep& step) const {
  auto fresh = std::make_unique<DtlsHandshake>(handshake().sharedContext(), options_);
  if (ids_.wanted()) fresh->useConnectionId(*ids_.wanted());
  const Negotiation& psk = handshake().psk();
  std::optional<std::pair<Identity, PskEntry>> key;
  if (psk.state() == Negotiation::State::Known) key.emplace(psk.identity(), psk.entry().clone());
  fresh->heard_ = true;
  fresh->guards_ = guarded;
  fresh->outbox_.shareNumbers(std::move(numbers));
  fresh->connect(std::move(key), step);
  fresh->timers_.begin(timers_.started());
  return fresh;
}

void DtlsHandshake::settleGuarded(SessionStep& step) {
  if (role_ != Role::Client || guards_) return;
  if (std::get<ClientScreen>(*screen_).serverHelloSeen()) return guarded_.reset();
  if (!contested_ || guarded_) return;
  const auto number = unguessableNumber();
  if (!number) return;
  outbox_.shareNumbers(std::make_shared<uint64_t>(*number));
  guarded_ = another(outbox_.sharedNumbers(), true, step);
}

void DtlsHandshake::expireGuarded(SessionStep& step) {
  if (guarded_) guarded_->expire(step);
}

std::unique_ptr<DtlsHandshake> DtlsHandshake::takeGuarded(ByteView datagram) {
  const auto record = guarded_ ? nextRecord(datagram) : std::nullopt;
  const bool answers = record && isVerifyRequest(*record) && !guarded_->foreign(*record);
  return answers ? std::move(guarded_) : nullptr;
}

// A HelloVerifyRequest for a guarded handshake by somebody who has not seen its hello.
bool DtlsHandshake::foreign(const DtlsRecord& record) const {
  return guards_ && isVerifyRequest(record) && !outbox_.sentInClear(record.sequence);
}

// Anybody can send an alert in the clear. It ends the handshake only if nothing else happens.
void DtlsHandshake::noteAlert(const DtlsRecord& record) {
  if (record.fragment.size() != 2 || timers_.alertNoted()) return;
  const uint8_t description = record.fragment[1];
  const bool fatal = record.fragment[0] == alert::kFatal;
  // The only warnings that end a handshake (RFC 5246 sections 7.2.1 and 7.2.2).
  if (!fatal && description != alert::kCloseNotify && description != alert::kUserCanceled) return;
  alert_hint_ = description;
  // A goodbye is in no hurry: it only shortens handshakeTimeout.
  timers_.noteAlert(step_->now, !fatal || handshake().psk().asking());
}

// RFC 8446 section 4.1.3. Before a ServerHello the server's random is zeros.
bool DtlsHandshake::refusesDowngrade() {
  std::array<uint8_t, SSL3_RANDOM_SIZE> random;
  if (SSL_get_server_random(ssl(), random.data(), random.size()) != random.size() ||
      !marksDowngrade(random)) {
    return false;
  }
  outbox_.sendAlert(alert::kFatal, alert::kIllegalParameter);
  fail({.code = "MCBN_PROTOCOL_ERROR",
        .message = "the server knows DTLS 1.3 and answered with DTLS 1.2: somebody on the path "
                   "keeps DTLS 1.3 "
                   "away from it",
        .reason = {},
        .alert = alert::kIllegalParameter});
  return true;
}

// The peer is there, whatever an alert says, and has sent a flight again: something was lost, or the
// application takes its time.
void DtlsHandshake::noteDuplicate() {
  timers_.forgetAlert();
  if (timers_.finishedSendings() == 0 && !handshake().psk().asking()) timers_.noteLoss();
}

void DtlsHandshake::retransmit() {
  outbox_.beginFlight();
  const int handled = DTLSv1_handle_timeout(ssl());
  if (handled < 0) {
    return fail({.code = "MCBN_HANDSHAKE_TIMEOUT",
                 .message = "the peer did not answer any retransmission"});
  }
  if (handled == 0) {
    if (!clockSetBack()) return timers_.postpone(step_->now);
    outbox_.sendLastFlightAgain();
    timers_.nextWait();
  }
  step_->countRepeatedFlight();
  timers_.repeated(step_->now);
  auto* const client = std::get_if<ClientScreen>(&*screen_);
  if (!client || !client->awaitsServerHello()) return;
  // RFC 6347 section 4.2.1: a server may ask for another cookie (SHOULD be followed). Those that answer under
  // the number of the hello have it at once, from the guarded handshake.
  client->followAnother();
  // A server answers the first hello at any time, with its own cookie. If it does know us, nothing
  // is lost.
  if (++cookie_repeats_ >= kCookieRepeats) outbox_.sendFirstFlightAgain();
}

// OpenSSL keeps its timer by the wall clock. Where that was put back by hours since, OpenSSL would not repeat
// the flight for as long.
bool DtlsHandshake::clockSetBack() const {
  timeval left{};
  if (DTLSv1_get_timeout(ssl(), &left) != 1) return false;
  return Milliseconds{static_cast<uint64_t>(left.tv_sec)} * 1'000 +
             static_cast<uint64_t>(left.tv_usec) / 1'000 >
         kClockLag;
}

unsigned DtlsHandshake::onTimer(SSL* ssl, unsigned microseconds) {
  HandshakeTimers& timers = static_cast<DtlsHandshake*>(SSL_get_app_data(ssl))->timers_;
  const Milliseconds wait =
      microseconds == 0 ? timers.firstWait() : timers.nextWait(microseconds / 1000);
  return static_cast<unsigned>(wait * 1000);
}

// Strangers have used up what the screen lets through unproven. The peer's Finished passes all the same: we
// open it ourselves, which costs a forged record less than OpenSSL's way. Not before ChangeCipherSpec, since
// OpenSSL would keep it.
bool DtlsHandshake::provesItself(const DtlsRecord& record) {
  if (record.epoch != kEpoch || record.type != content_type::kHandshake) return false;
  if (screen().holding() || !screen().changeCipherSpecSeen()) return false;
  return proof_.judge(record) == KeyProof::Verdict::Right;
}

// What an encrypted record says of the client's key, where the handshake is not done with it.
void DtlsHandshake::noteKey(KeyProof::Verdict verdict) {
  if (role_ != Role::Server || !handshake().psk().keyGiven() || screen().holding()) return;
  if (verdict == KeyProof::Verdict::Right) return timers_.trustKey();
  if (!screen().changeCipherSpecSeen()) return;
  timers_.suspectKey(step_->now, verdict == KeyProof::Verdict::Wrong && finished_with_exchange_);
}

// ---- what is told when time is up ----------------------------------------------------------------

std::string DtlsHandshake::explainTimeout() const {
  const std::string time = secondsText(options_.handshake_timeout);
  if (!heard_) return "nobody answered within " + time + "; check host, port and firewall";
  if (timers_.finishedSendings() < 2) return "the handshake was not finished within " + time;
  return explainSilence() + "datagrams are lost, or its key for identity " +
         quoted(handshake().psk().identity()) + " differs from the client's";
}

std::string DtlsHandshake::explainSilence() const {
  return "the server fell silent after our Finished (" +
         std::to_string(timers_.finishedSendings()) + " sent in " +
         secondsText(timers_.sinceFinished(step_->now)) + "): ";
}

}  // namespace mcbn
