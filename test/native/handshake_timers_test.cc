// HandshakeTimers with integers for time: nothing here waits, and nothing reads a clock.
#include "session/handshake_timers.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace mcbn;
using Due = HandshakeTimers::Due;

namespace {

constexpr Milliseconds kStart = 1'000'000;

HandshakeTimers begun(Role role, Milliseconds timeout = 10'000, Milliseconds first = 0) {
  HandshakeTimers timers(role, timeout, first);
  timers.begin(kStart);
  return timers;
}

// A flight goes out and an answer is waited for, as after a step of OpenSSL.
void sendFlight(HandshakeTimers& timers, Milliseconds now) {
  timers.firstWait();
  timers.flightSent(now, true);
  timers.setWaiting(now, true);
}

}  // namespace

TEST_CASE("handshake timers: nothing is due in a handshake that has no time limit and no flight") {
  const HandshakeTimers timers = begun(Role::Client, 0);
  CHECK(timers.deadline() == kNever);
  CHECK(timers.due(kNever - 1) == Due::Nothing);
}

TEST_CASE("handshake timers: a handshake ends when its time is over, not a millisecond before") {
  const HandshakeTimers timers = begun(Role::Server, 700);
  CHECK(timers.deadline() == kStart + 700);
  CHECK(timers.due(kStart + 699) == Due::Nothing);
  CHECK(timers.due(kStart + 700) == Due::Timeout);
}

TEST_CASE("handshake timers: a time limit that passes the end of time never comes") {
  const HandshakeTimers timers = begun(Role::Client, kNever - 5);
  CHECK(timers.deadline() == kNever);
}

TEST_CASE(
    "handshake timers: flights are repeated after 1 s, then twice the time (RFC 6347 4.2.4.1)") {
  HandshakeTimers timers = begun(Role::Client, 0);
  sendFlight(timers, kStart);
  Milliseconds wait = 1'000, now = kStart;
  for (const Milliseconds expected : {1'000, 2'000, 4'000, 8'000, 16'000, 32'000, 60'000, 60'000}) {
    CAPTURE(expected);
    CHECK(timers.deadline() == now + expected);
    now += expected;
    CHECK(timers.due(now - 1) == Due::Nothing);
    REQUIRE(timers.due(now) == Due::Retransmission);
    wait = timers.nextWait(wait);
    timers.repeated(now);
  }
}

TEST_CASE("handshake timers: the first wait follows the round trip, from 250 ms to 1 s") {
  struct Case {
    Milliseconds round_trip, wait;
  };
  for (const Case& each :
       {Case{0, 250}, Case{10, 250}, Case{100, 400}, Case{249, 996}, Case{5'000, 1'000}}) {
    const Milliseconds round_trip = each.round_trip, wait = each.wait;
    CAPTURE(round_trip);
    HandshakeTimers timers = begun(Role::Client);
    sendFlight(timers, kStart);
    timers.flightSent(kStart + round_trip, true);
    CHECK(timers.roundTrip() == std::max<Milliseconds>(1, round_trip));
    CHECK(timers.firstWait() == wait);
  }
}

TEST_CASE("handshake timers: a wait that was asked for is kept, up to 60 s") {
  CHECK(begun(Role::Client, 0, 77).firstWait() == 77);
  CHECK(begun(Role::Client, 0, 3'600'000).firstWait() == 60'000);
}

TEST_CASE("handshake timers: a repeated flight gives no round trip (RFC 6298 section 3)") {
  HandshakeTimers timers = begun(Role::Client);
  sendFlight(timers, kStart);
  timers.flightSent(kStart + 300, false);
  CHECK(timers.roundTrip() == 0);
}

TEST_CASE("handshake timers: while a key is looked up nothing is repeated") {
  HandshakeTimers timers = begun(Role::Server, 0);
  sendFlight(timers, kStart);
  timers.keyExchangeReceived(kStart + 20);
  timers.keyAsked();
  CHECK(timers.roundTrip() == 20);
  CHECK(timers.deadline() == kNever);
}

TEST_CASE("handshake timers: a retransmission that came too early is tried again soon") {
  HandshakeTimers timers = begun(Role::Client, 0);
  sendFlight(timers, kStart);
  timers.postpone(kStart + 1'000);
  CHECK(timers.due(kStart + 1'004) == Due::Nothing);
  CHECK(timers.due(kStart + 1'005) == Due::Retransmission);
}

TEST_CASE(
    "handshake timers: an alert in the clear is believed when our flight was repeated, and a round "
    "trip later nothing has come of it") {
  struct Case {
    Milliseconds round_trip;  // 0: not known
    Milliseconds first;       // retransmission, after the flight
    Milliseconds believed;    // after the alert
  };
  for (const Case& each : {Case{0, 1'000, 1'900}, Case{10, 1'000, 1'150}, Case{600, 1'000, 3'300},
                           Case{10, 9'000, 9'150}, Case{2'000, 9'000, 16'900}}) {
    const Milliseconds round_trip = each.round_trip, first = each.first, believed = each.believed;
    CAPTURE(round_trip);
    CAPTURE(first);
    HandshakeTimers timers(Role::Client, 90'000, first);
    timers.begin(kStart);
    if (round_trip > 0) timers.flightSent(kStart - round_trip, true);
    timers.firstWait();
    timers.flightSent(kStart, true);
    timers.setWaiting(kStart, true);
    timers.noteAlert(kStart + 100, false);
    CHECK(timers.alertNoted());
    timers.repeated(kStart + first);
    CHECK(timers.due(kStart + 100 + believed - 1) != Due::Alert);
    CHECK(timers.due(kStart + 100 + believed) == Due::Alert);
    timers.forgetAlert();
    CHECK(timers.due(kStart + 100 + believed) != Due::Alert);
  }
}

TEST_CASE("handshake timers: encrypted records that anybody may have sent call no key wrong soon") {
  HandshakeTimers timers = begun(Role::Server);
  timers.flightSent(kStart, true);
  timers.keyExchangeReceived(kStart + 10);
  timers.suspectKey(kStart + 10, false);
  // A client repeats its flight after a second, and has another half for the way.
  CHECK(timers.due(kStart + 1'509) == Due::Nothing);
  CHECK(timers.due(kStart + 1'510) == Due::WrongKey);
}

TEST_CASE("handshake timers: one record that opens proves the key, before bad ones and after") {
  HandshakeTimers timers = begun(Role::Server);
  timers.flightSent(kStart, true);
  timers.keyExchangeReceived(kStart + 10);
  timers.suspectKey(kStart + 10, true);
  timers.trustKey();
  CHECK(timers.due(kStart + 9'999) != Due::WrongKey);
  timers.suspectKey(kStart + 20, true);
  CHECK(timers.due(kStart + 9'999) != Due::WrongKey);
}

TEST_CASE("handshake timers: an alert is forgotten when the handshake goes on") {
  HandshakeTimers timers = begun(Role::Client);
  sendFlight(timers, kStart);
  timers.noteAlert(kStart, false);
  timers.flightSent(kStart + 1, true);
  CHECK_FALSE(timers.alertNoted());
}

TEST_CASE("handshake timers: a goodbye waits until the peer would have repeated itself") {
  HandshakeTimers timers = begun(Role::Server, 0);
  timers.flightSent(kStart, true);
  timers.noteAlert(kStart + 10, true);
  CHECK(timers.deadline() == kStart + 10 + 2'500);
  timers.forgetAlert();
  timers.noteAlert(kStart + 4'000, true);
  CHECK(timers.deadline() == kStart + 4'000 + 2 * 4'000);
}

TEST_CASE(
    "handshake timers: a server takes the key for wrong about a round trip after a bad record") {
  struct Case {
    Milliseconds round_trip, grace;
  };
  for (const Case& each : {Case{1, 30}, Case{90, 90}, Case{4'000, 250}}) {
    const Milliseconds round_trip = each.round_trip, grace = each.grace;
    CAPTURE(round_trip);
    HandshakeTimers timers = begun(Role::Server);
    timers.flightSent(kStart, true);
    timers.keyExchangeReceived(kStart + round_trip);
    const Milliseconds bad = kStart + round_trip;
    timers.suspectKey(bad, true);
    timers.suspectKey(bad + 10, true);  // another one defers nothing
    CHECK(timers.due(bad + grace - 1) == Due::Nothing);
    CHECK(timers.due(bad + grace) == Due::WrongKey);
  }
}

TEST_CASE(
    "handshake timers: a client names a server that falls silent after five Finished or more") {
  HandshakeTimers timers = begun(Role::Client, 10'000, 100);
  sendFlight(timers, kStart);
  timers.finishedSent(kStart);
  Milliseconds wait = 100;
  for (const Milliseconds at : {100, 300, 700, 1'500, 3'100}) {
    CAPTURE(at);
    REQUIRE(timers.deadline() == kStart + at);
    REQUIRE(timers.due(kStart + at) == Due::Retransmission);
    wait = timers.nextWait(wait);
    timers.repeated(kStart + at);
  }
  CHECK(timers.finishedSendings() == 6);
  // Not before 40 % of the handshake's time: the server may be looking the key up.
  CHECK(timers.deadline() == kStart + 4'000);
  CHECK(timers.due(kStart + 3'999) == Due::Nothing);
  CHECK(timers.due(kStart + 4'000) == Due::Silence);
  CHECK(timers.sinceFinished(kStart + 4'000) == 4'000);
}

TEST_CASE(
    "handshake timers: on a path that has lost datagrams silence names no key, however long it "
    "is") {
  enum class Loss { OwnFlightRepeated, PeersFlightRepeated };
  for (const Loss loss : {Loss::OwnFlightRepeated, Loss::PeersFlightRepeated}) {
    HandshakeTimers timers = begun(Role::Client, 60'000, 100);
    sendFlight(timers, kStart);
    loss == Loss::OwnFlightRepeated ? timers.repeated(kStart) : timers.noteLoss();
    timers.finishedSent(kStart);
    timers.firstWait();
    timers.flightSent(kStart, false);
    timers.setWaiting(kStart, true);
    Milliseconds wait = 100;
    for (unsigned sending = 0; sending < 9; ++sending) {
      const Milliseconds now = timers.deadline();
      REQUIRE(timers.due(now) == Due::Retransmission);
      wait = timers.nextWait(wait);
      timers.repeated(now);
      // No wait is cut short for a verdict.
      REQUIRE(timers.deadline() == std::min(now + wait, kStart + 60'000));
    }
    CHECK(timers.finishedSendings() == 10);
    CHECK(timers.due(timers.deadline()) == Due::Timeout);
  }
}

TEST_CASE("handshake timers: a server never names silence") {
  HandshakeTimers timers = begun(Role::Server, 0, 100);
  sendFlight(timers, kStart);
  Milliseconds wait = 100;
  for (unsigned sending = 0; sending < 20; ++sending) {
    const Milliseconds now = timers.deadline();
    REQUIRE(timers.due(now) == Due::Retransmission);
    wait = timers.nextWait(wait);
    timers.repeated(now);
  }
}

TEST_CASE("handshake timers: what is worse is told first") {
  HandshakeTimers timers = begun(Role::Server, 1'000);
  sendFlight(timers, kStart);
  timers.keyExchangeReceived(kStart);
  timers.noteAlert(kStart, false);
  timers.suspectKey(kStart, true);
  CHECK(timers.due(kStart + 5'000) == Due::WrongKey);
  HandshakeTimers alerted = begun(Role::Server, 1'000);
  alerted.noteAlert(kStart, false);
  CHECK(alerted.due(kStart + 5'000) == Due::Alert);
}
