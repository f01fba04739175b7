// handshake_timers.h: what is due when in a handshake, as numbers.
//
//   what happened --> [ HandshakeTimers ] --deadline(), due()--> what to do
//
// Four times run: the end of the handshake's time, the next retransmission, the moment at which an
// alert in the clear is believed, and that at which the peer's key is taken for a wrong one. DTLS
// 1.2 itself says nothing about a wrong key: a server guesses it from encrypted records that lead to
// nothing, a client from silence after its Finished on a path that has lost nothing before.
//
// Never reads a clock: test/native/handshake_timers_test.cc drives it with integers.
//
// Ownership   a DtlsHandshake has one.
// Thread      the session's.
// Spec        RFC 6347 section 4.2.4 (retransmission), RFC 6298 section 3 (which round trips count)
#pragma once

#include "base/time.h"
#include "psk/psk.h"

namespace mcbn {

class HandshakeTimers {
 public:
  enum class Due : uint8_t { Nothing, WrongKey, Alert, Timeout, Silence, Retransmission };

  // `timeout`: of the whole handshake, 0 for none. `first_retransmission`: 0 for one that follows
  // the round trip.
  HandshakeTimers(Role role, Milliseconds timeout, Milliseconds first_retransmission)
      : role_(role), timeout_(timeout), first_retransmission_(first_retransmission) {}

  void begin(Milliseconds now) { started_ = now; }
  Milliseconds started() const { return started_; }
  // When due() has something; kNever if not at all.
  Milliseconds deadline() const;
  Due due(Milliseconds now) const;

  // How long to wait for an answer to a flight: to its first sending, or after a wait of `previous`
  // to the next one.
  Milliseconds firstWait();
  Milliseconds nextWait(Milliseconds previous);
  Milliseconds nextWait() { return nextWait(wait_); }
  bool waited() const { return wait_ != 0; }

  // A new flight went out. `first`: and none of this handshake was ever repeated, so nobody
  // doubts which sending is answered.
  void flightSent(Milliseconds now, bool first);
  // A client's last flight went out.
  void finishedSent(Milliseconds now);
  // A server was answered by the peer's key exchange.
  void keyExchangeReceived(Milliseconds now);
  // Whether OpenSSL waits for an answer.
  void setWaiting(Milliseconds now, bool waiting);
  void repeated(Milliseconds now);
  // The path loses datagrams: a flight had to be repeated before a client's last one.
  void noteLoss() { lossy_ = true; }
  // A retransmission that was due is not yet: its clock lags behind ours.
  void postpone(Milliseconds now);
  // The peer has done its part: we are slow.
  void keyAsked();

  // An alert in the clear, which anybody can send: it is believed after a while in which nothing
  // else happens, though our flight was sent again and four round trips have passed since, however
  // long the timers are, as CoAP's of 9 s. `lasting`: it is no hurry, or the peer is waiting for us.
  void noteAlert(Milliseconds now, bool lasting);
  // The handshake goes on: the alert was not the peer's.
  void forgetAlert() { alert_at_ = kNever; }
  bool alertNoted() const { return alert_at_ != kNever; }

  // A server: an encrypted record could not be opened with the key, or nobody knows whether it can,
  // and the handshake is still not done.
  // `certain`: it came with the key exchange, so the client sent it, and not somebody in its name.
  void suspectKey(Milliseconds now, bool certain);
  // One could: the key is right, whatever came or comes.
  void trustKey();

  Milliseconds roundTrip() const { return round_trip_; }  // 0: not known
  // Of a client's last flight.
  unsigned finishedSendings() const { return finished_sendings_; }
  Milliseconds sinceFinished(Milliseconds now) const { return now - finished_at_; }

 private:
  Milliseconds patience() const;
  Milliseconds limit() const { return timeout_ == 0 ? kNever : later(started_, timeout_); }
  bool silent(Milliseconds now) const;

  const Role role_;
  const Milliseconds timeout_;
  const Milliseconds first_retransmission_;
  Milliseconds started_ = 0;
  Milliseconds flight_at_ = 0;   // when our last new flight went out
  Milliseconds round_trip_ = 0;  // 0: not known
  Milliseconds wait_ = 0;        // the latest firstWait() or nextWait()
  Milliseconds retransmit_at_ = kNever;
  Milliseconds suspicion_at_ = kNever;
  Milliseconds alert_at_ = kNever;
  Milliseconds finished_at_ = 0;
  unsigned finished_sendings_ = 0;
  bool lossy_ = false;
  bool trusted_ = false;
};

}  // namespace mcbn
