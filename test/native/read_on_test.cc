#include "engine/read_on.h"

#include <doctest/doctest.h>

using namespace mcbn;

namespace {

// How many of `turns` read at once, where each that does finds `something`.
int readings(ReadOn& read_on, int turns, bool something) {
  int count = 0;
  for (int turn = 0; turn < turns; ++turn) {
    if (!read_on.due()) continue;
    count += 1;
    read_on.found(something);
  }
  return count;
}

}  // namespace

TEST_CASE("read on: where nothing is found, one turn of a hundred is spent on trying") {
  ReadOn read_on;
  CHECK(readings(read_on, 12'800, false) <= 12'800 / 100);
}

TEST_CASE("read on: where something is always found, the poller is asked every ninth turn") {
  ReadOn read_on;
  CHECK(readings(read_on, 900, true) == 800);
}

TEST_CASE("read on: is found out again soon after the load has come back") {
  ReadOn read_on;
  readings(read_on, 1'000, false);
  CHECK(readings(read_on, 128 + 900, true) >= 800);
}

TEST_CASE("read on: what was found in vain once is tried again after a turn, then after three") {
  ReadOn read_on;
  REQUIRE(read_on.due());
  read_on.found(false);
  CHECK_FALSE(read_on.due());
  REQUIRE(read_on.due());
  read_on.found(false);
  for (int turn = 0; turn < 3; ++turn) CHECK_FALSE(read_on.due());
  CHECK(read_on.due());
}
