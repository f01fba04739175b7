// What a DtlsSession does because time passes: retransmission, the end of a handshake that takes
// too long, and the two guesses by which a wrong key is named (DTLS 1.2 itself says nothing about
// one).
#include <algorithm>

#include "session/dtls_session.h"

namespace mcbn {
namespace {

constexpr Milliseconds kFirstTimeout = 1'000;  // RFC 6347 section 4.2.4.1
constexpr Milliseconds kShortestTimeout = 250;
constexpr Milliseconds kLongestTimeout = 60'000;
// How long a good Finished may follow one that could not be read: about a round trip.
constexpr Milliseconds kShortestGrace = 30;
constexpr Milliseconds kLongestGrace = 250;
// A client names a silent server after this many sendings of its Finished, and not before this
// share of the handshake's time: a server may be busy looking the key up.
constexpr unsigned kUnansweredFlights = 5;
constexpr Milliseconds kSilencePerMille = 400;
constexpr Milliseconds kDefaultPatience = 4'000;

const char* secondsText(Milliseconds milliseconds, std::string& out) {
  out =
      std::to_string(milliseconds / 1000) + "." + std::to_string(milliseconds % 1000 / 100) + " s";
  return out.c_str();
}

}  // namespace

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
    Failure failure = handshake_->explain();
    if (handshake_->psk().state() == Negotiation::State::Known) {
      failure = {.code = "MCBN_PSK_MISMATCH",
                 .message = "the client's key for identity " +
                            quoted(handshake_->psk().identity()) +
                            " differs from the server's; compare both"};
    }
    failure.alert = alert::kDecryptError;
    sendPlaintextAlert(alert::kDecryptError);
    return fail(std::move(failure));
  }
  if (alert_at_ <= now) return fail(handshake_->explainPeerAlert(alert_hint_));
  if (options_.handshake_timeout != 0 && started_ + options_.handshake_timeout <= now) {
    std::string time;
    secondsText(options_.handshake_timeout, time);
    cancelHandshake();
    return fail(
        {.code = "MCBN_HANDSHAKE_TIMEOUT",
         .message = heard_ ? "the handshake was not finished within " + time
                           : "nobody answered within " + time + "; check host, port and firewall"});
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
  if (DTLSv1_get_timeout(handshake_->ssl(), &left) != 1) {
    retransmit_at_ = kNever;
  } else if (retransmit_at_ == kNever || flight_sent_ == now) {
    retransmit_at_ = now + last_timeout_;
  }
}

void DtlsSession::retransmit(Milliseconds now) {
  nameSilence(now);
  if (state_ == State::Ended) return;
  const int handled = DTLSv1_handle_timeout(handshake_->ssl());
  if (handled < 0) {
    return fail({.code = "MCBN_HANDSHAKE_TIMEOUT",
                 .message = "the peer did not answer any retransmission"});
  }
  if (handled == 0) {
    retransmit_at_ = now + 5;  // the wall clock lags behind ours
    return;
  }
  stats_.retransmits += 1;
  sink_->retransmitted();
  if (flights_unanswered_ > 0) flights_unanswered_ += 1;
  retransmit_at_ = now + last_timeout_;
  const Milliseconds patience = options_.handshake_timeout == 0
                                    ? kDefaultPatience
                                    : options_.handshake_timeout * kSilencePerMille / 1000;
  if (flights_unanswered_ >= kUnansweredFlights) {
    retransmit_at_ =
        std::min(retransmit_at_, std::max(finished_sent_ + patience, now + kShortestTimeout));
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
        .message = "the server fell silent after our Finished (" +
                   std::to_string(flights_unanswered_) + " sent in " +
                   secondsText(now - finished_sent_, time) + "): its key for identity " +
                   quoted(handshake_->psk().identity()) +
                   " probably differs from the client's; compare both"});
}

// The server's side of the same silence: encrypted handshake records have come, the key is in use,
// and the handshake is still not done.
void DtlsSession::suspectKey(Milliseconds now) {
  if (role() != Role::Server || suspicion_at_ != kNever) return;
  HandshakeScreen& screen = this->screen();
  if (!handshake_->psk().keyGiven() || screen.holding() || !screen.changeCipherSpecSeen()) return;
  if (screen.encryptedHandshakeRecords() == 0) return;
  suspicion_at_ = now + std::clamp(round_trip_, kShortestGrace, kLongestGrace);
}

}  // namespace mcbn
