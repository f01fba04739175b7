#include "engine/busy_poll.h"

#include <doctest/doctest.h>

using namespace mcbn;

namespace {

// A thread that works for 5 us on everything that comes `gap` after it had nothing left to do.
struct Thread {
  // Whether it looks, before it sleeps.
  bool hears(Microseconds gap) {
    now += gap;
    poll.heard(now);
    now += 5;
    return poll.lookUntil(now) > now;
  }
  BusyPoll poll;
  Microseconds now = 1'000'000;
};

}  // namespace

TEST_CASE("busy poll: off unless there is a limit, however fast the traffic") {
  Thread thread;
  for (int i = 0; i < 100; ++i) CHECK(!thread.hears(1));
}

TEST_CASE("busy poll: begins when it would have paid a few times, and looks for the limit") {
  Thread thread;
  thread.poll.setLimit(50);
  CHECK(!thread.hears(10));  // nothing came before the first
  for (int i = 0; i < 3; ++i) CHECK(!thread.hears(50));
  CHECK(thread.hears(50));
  CHECK(thread.poll.lookUntil(thread.now) == thread.now + 50);
}

TEST_CASE("busy poll: gives up by itself when what comes does not come in time") {
  Thread thread;
  thread.poll.setLimit(50);
  for (int i = 0; i < 100; ++i) thread.hears(10);
  int looked = 0;
  for (int i = 0; i < 1'000; ++i) looked += thread.hears(51) ? 1 : 0;
  CHECK(looked == 2);
  CHECK(!thread.hears(10));  // one in time is not enough
  for (int i = 0; i < 2; ++i) thread.hears(10);
  CHECK(thread.hears(10));
}

TEST_CASE("busy poll: of traffic that is in time every other time, most is not waited for") {
  Thread thread;
  thread.poll.setLimit(50);
  for (int i = 0; i < 100; ++i) thread.hears(10);
  int looked = 0;
  for (int i = 0; i < 1'000; ++i) looked += thread.hears(i % 2 == 0 ? 10 : 500) ? 1 : 0;
  CHECK(looked < 10);
}

TEST_CASE("busy poll: another limit begins anew") {
  Thread thread;
  thread.poll.setLimit(50);
  for (int i = 0; i < 10; ++i) thread.hears(10);
  thread.poll.setLimit(50);
  CHECK(thread.hears(10));
  thread.poll.setLimit(40);
  CHECK(!thread.hears(10));
  thread.poll.setLimit(0);
  for (int i = 0; i < 10; ++i) CHECK(!thread.hears(1));
}
