#include "engine/wake_pace.h"

#include <doctest/doctest.h>

using namespace mcbn;

TEST_CASE("wake pace: news after a pause is told at once, patient or not") {
  WakePace pace;
  CHECK(pace.tells(true, 1'000));
  CHECK(pace.tells(false, 1'001));
  CHECK(pace.tells(true, 2'000));
  CHECK(pace.deadline() == kNever);
}

TEST_CASE("wake pace: patient news waits for the end of the millisecond, however much comes") {
  WakePace pace;
  CHECK(pace.tells(true, 1'000));
  for (int i = 0; i < 100; ++i) CHECK_FALSE(pace.tells(true, 1'000 + i % 2));
  CHECK(pace.deadline() == 1'002);
  CHECK(pace.tells(true, 1'002));
  CHECK(pace.deadline() == kNever);
  CHECK_FALSE(pace.tells(true, 1'003));
}

TEST_CASE("wake pace: what cannot wait takes with it what was held back") {
  WakePace pace;
  CHECK(pace.tells(true, 1'000));
  CHECK_FALSE(pace.tells(true, 1'000));
  CHECK(pace.tells(false, 1'000));
  CHECK(pace.deadline() == kNever);
}

TEST_CASE("wake pace: what another has told is not waited for") {
  WakePace pace;
  CHECK(pace.tells(true, 1'000));
  CHECK_FALSE(pace.tells(true, 1'001));
  pace.toldAll();
  CHECK(pace.deadline() == kNever);
}
