// Attendance with turns and times as values: no thread but the test's.
#include "engine/attendance.h"

#include <doctest/doctest.h>

#include <vector>

using namespace mcbn;

namespace {

const std::vector<EventRow> kMessage{{EventKind::Message, 1, 1, 0, 1}};
const std::vector<EventRow> kHandshake{{EventKind::Opened, 1, 1, 0, 0}};

void takeSmallTurns(Attendance& attendance, unsigned count) {
  for (unsigned turn = 0; turn < count; ++turn) attendance.noteTurn(kMessage);
}

Attendance& attended(Attendance& attendance, Milliseconds now) {
  takeSmallTurns(attendance, 16);
  REQUIRE(attendance.invite());
  attendance.begin(now);
  REQUIRE(attendance.attended());
  return attendance;
}

}  // namespace

TEST_CASE("attendance: is offered after sixteen small turns in a row, once") {
  Attendance attendance;
  takeSmallTurns(attendance, 15);
  CHECK_FALSE(attendance.invite());
  takeSmallTurns(attendance, 1);
  CHECK(attendance.invite());
  CHECK(attendance.invited());
  CHECK_FALSE(attendance.invite());
  CHECK_FALSE(attendance.attended());  // before the I/O thread agrees
  attendance.begin(0);
  CHECK(attendance.attended());
  CHECK_FALSE(attendance.invited());
}

TEST_CASE("attendance: a handshake, or a large turn, begins the count anew") {
  for (const std::vector<EventRow>& turn : {kHandshake, std::vector(9, kMessage[0])}) {
    Attendance attendance;
    takeSmallTurns(attendance, 15);
    attendance.noteTurn(turn);
    takeSmallTurns(attendance, 15);
    CHECK_FALSE(attendance.invite());
    takeSmallTurns(attendance, 1);
    CHECK(attendance.invite());
  }
}

TEST_CASE("attendance: turns that bring nothing count neither way") {
  Attendance attendance;
  takeSmallTurns(attendance, 15);
  attendance.noteTurn({});
  takeSmallTurns(attendance, 1);
  CHECK(attendance.invite());
}

TEST_CASE("attendance: ends with a handshake, a large turn or a large submission") {
  Attendance first, second, third;
  attended(first, 0).noteTurn(kHandshake);
  CHECK_FALSE(first.attended());
  attended(second, 0).noteTurn(std::vector(9, kMessage[0]));
  CHECK_FALSE(second.attended());
  attended(third, 0).noteLargeSubmission();
  CHECK_FALSE(third.attended());
}

TEST_CASE("attendance: ends when nobody has come for 50 ms") {
  Attendance attendance;
  attended(attendance, 1'000).visited(1'020);
  CHECK(attendance.visits() == 1);
  attendance.noteSilence(1'070);
  CHECK(attendance.attended());
  attendance.noteSilence(1'071);
  CHECK_FALSE(attendance.attended());
}

TEST_CASE("attendance: without an offer the I/O thread begins nothing") {
  Attendance attendance;
  takeSmallTurns(attendance, 100);
  attendance.begin(0);
  CHECK_FALSE(attendance.attended());
}
