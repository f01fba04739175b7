#include "session/handshake_timers.h"

#include <algorithm>

#include "base/assert.h"

namespace mcbn {
namespace {

constexpr Milliseconds kFirstWait = 1'000;  // RFC 6347 section 4.2.4.1
constexpr Milliseconds kShortestWait = 250;
constexpr Milliseconds kLongestWait = 60'000;
// OpenSSL keeps its timer by the wall clock, which may be a little late.
constexpr Milliseconds kClockLag = 5;
// How long an alert in the clear waits for the handshake to go on in spite of it.
constexpr Milliseconds kAlertGrace = 250;  // at least
constexpr Milliseconds kUnknownRoundTrip = 1'000;
// RFC 6347 section 4.2.4.1: flights are repeated after 1 s, then at most twice the time.
constexpr Milliseconds kPeerRepeats = 2'500;
// How long a good Finished may follow one that could not be read: about a round trip.
constexpr Milliseconds kShortestGrace = 30;
constexpr Milliseconds kLongestGrace = 250;
// The same of one that anybody may have sent: a client's first repeat comes within it.
constexpr Milliseconds kForgedGrace = 1'500;
// Where nothing was lost before, a client names a silent server after this many sendings of its
// Finished, and not before this share of the handshake's time: a server may be busy looking the key up.
constexpr unsigned kUnansweredSendings = 5;
constexpr Milliseconds kSilencePerMille = 400;
constexpr Milliseconds kDefaultPatience = 4'000;

}  // namespace

Milliseconds HandshakeTimers::deadline() const {
  return std::min({limit(), retransmit_at_, suspicion_at_, alert_at_});
}

HandshakeTimers::Due HandshakeTimers::due(Milliseconds now) const {
  if (suspicion_at_ <= now) return Due::WrongKey;
  if (alert_at_ <= now) return Due::Alert;
  if (limit() <= now) return Due::Timeout;
  if (retransmit_at_ > now) return Due::Nothing;
  return silent(now) ? Due::Silence : Due::Retransmission;
}

Milliseconds HandshakeTimers::firstWait() {
  Milliseconds wait = first_retransmission_;
  if (wait == 0) {
    wait = round_trip_ == 0 ? kFirstWait : std::clamp(4 * round_trip_, kShortestWait, kFirstWait);
  }
  return wait_ = std::min(wait, kLongestWait);
}

Milliseconds HandshakeTimers::nextWait(Milliseconds previous) {
  MCBN_ASSERT(previous <= kLongestWait);
  return wait_ = std::min(2 * previous, kLongestWait);
}

void HandshakeTimers::flightSent(Milliseconds now, bool first) {
  // Not after a retransmission: nobody knows which sending was answered (RFC 6298 section 3).
  if (first && flight_at_ != 0 && round_trip_ == 0 && role_ == Role::Client) {
    round_trip_ = std::max<Milliseconds>(1, now - flight_at_);
  }
  flight_at_ = now;
  forgetAlert();
}

void HandshakeTimers::finishedSent(Milliseconds now) {
  MCBN_ASSERT(role_ == Role::Client);
  finished_at_ = now;
  finished_sendings_ = 1;
}

void HandshakeTimers::keyExchangeReceived(Milliseconds now) {
  MCBN_ASSERT(role_ == Role::Server);
  round_trip_ = std::max<Milliseconds>(1, now - flight_at_);
}

void HandshakeTimers::setWaiting(Milliseconds now, bool waiting) {
  if (!waiting) {
    retransmit_at_ = kNever;
  } else if (retransmit_at_ == kNever || flight_at_ == now) {
    retransmit_at_ = now + wait_;
  }
}

void HandshakeTimers::repeated(Milliseconds now) {
  if (finished_sendings_ == 0) {
    noteLoss();
  } else {
    finished_sendings_ += 1;
  }
  retransmit_at_ = now + wait_;
  if (lossy_ || finished_sendings_ < kUnansweredSendings) return;
  retransmit_at_ =
      std::min(retransmit_at_, std::max(finished_at_ + patience(), now + kShortestWait));
}

void HandshakeTimers::postpone(Milliseconds now) { retransmit_at_ = now + kClockLag; }

void HandshakeTimers::keyAsked() {
  retransmit_at_ = kNever;
  forgetAlert();
}

void HandshakeTimers::noteAlert(Milliseconds now, bool lasting) {
  MCBN_ASSERT(!alertNoted());
  const Milliseconds answer =
      round_trip_ == 0 ? kUnknownRoundTrip : std::max(kAlertGrace, 4 * round_trip_);
  Milliseconds grace = answer;
  if (retransmit_at_ != kNever && retransmit_at_ > now) {
    grace = std::max(grace, retransmit_at_ - now + answer);
  }
  // A peer that is still there repeats itself, at growing intervals.
  if (lasting) grace = std::max({grace, kPeerRepeats, 2 * (now - flight_at_)});
  alert_at_ = now + grace;
}

void HandshakeTimers::suspectKey(Milliseconds now, bool certain) {
  MCBN_ASSERT(role_ == Role::Server);
  if (trusted_ || suspicion_at_ != kNever) return;
  suspicion_at_ =
      now + (certain ? std::clamp(round_trip_, kShortestGrace, kLongestGrace) : kForgedGrace);
}

void HandshakeTimers::trustKey() {
  MCBN_ASSERT(role_ == Role::Server);
  trusted_ = true;
  suspicion_at_ = kNever;
}

Milliseconds HandshakeTimers::patience() const {
  return timeout_ == 0 ? kDefaultPatience : timeout_ * kSilencePerMille / 1000;
}

// DTLS 1.2 drops a Finished it cannot read without a word (RFC 6347 section 4.1.2.7). So does a path that
// loses datagrams, and one that has lost some before is the likelier reason: at 30 % loss, with a
// datagram each way, (1 - 0.7^2)^5 of all Finished, one of thirty, have no answer five times.
bool HandshakeTimers::silent(Milliseconds now) const {
  return role_ == Role::Client && !lossy_ && finished_sendings_ >= kUnansweredSendings &&
         now >= finished_at_ + patience();
}

}  // namespace mcbn
