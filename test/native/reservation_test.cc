// Which record numbers a session may use ahead of its row in a session store. The one rule: whenever
// the process is killed, the row that was written last is ahead of every number that was used.
#include "session/reservation.h"

#include <doctest/doctest.h>

#include <random>

#include "dtls_pair.h"
#include "session/sealed_session.h"
#include "wire.h"

using namespace mcbn;

namespace {

RecordPosition at(uint64_t next_write, uint64_t newest_read) {
  return {next_write, newest_read, 1, 0, 0};
}

RecordPosition fresh() { return at(1, 0); }

HeldRecord waiting(uint64_t sequence, size_t bytes = 10) { return {sequence, 23, Bytes(bytes)}; }

}  // namespace

TEST_CASE("reservation: what the first row says holds at once, what a restored one says does not") {
  Reservation first(at(7, 3), false, 90, 0);
  CHECK(first.granted().write == 7 + Reservation::kWriteBlock);
  CHECK(first.granted().read == 4 + Reservation::kShortest);
  REQUIRE(first.due(7, 3, 0));
  const RecordPosition row = first.propose(at(7, 3), 0);
  CHECK(row.next_write == first.granted().write);
  CHECK(row.newest_read == first.granted().read - 1);
  CHECK(row.seen == ~uint64_t{0});
  CHECK(row.blocks == Reservation::kWriteBlock * 90);

  Reservation restored(row, true, 90, 0);
  CHECK(restored.granted().write == row.next_write);
  CHECK(restored.granted().read == row.newest_read + 1);
  REQUIRE(restored.due(row.next_write, row.newest_read, 0));
  const RecordPosition next = restored.propose(row, 0);
  CHECK(restored.granted().write == row.next_write);
  CHECK(next.next_write == row.next_write + Reservation::kWriteBlock);
  // Nobody has written: nothing to receive is given away in a crash.
  CHECK(next.newest_read == row.newest_read);
  restored.grant();
  CHECK(restored.granted().write == next.next_write);
}

TEST_CASE("reservation: a silent session gives back what it has not received") {
  Reservation reservation(fresh(), false, 90, 0);
  CHECK(reservation.due(1, 0, 0));
  reservation.propose(at(1, 0), 0);
  CHECK(reservation.settleAt() == kNever);  // one row at a time
  reservation.grant();
  CHECK_FALSE(reservation.due(1, 2, 400));
  CHECK(reservation.settleAt() == 400 + Reservation::kSettle);
  REQUIRE(reservation.due(1, 2, 400 + Reservation::kSettle));
  const RecordPosition row = reservation.propose(at(1, 2), 400 + Reservation::kSettle);
  CHECK(row.newest_read == 2);
  CHECK(reservation.granted().read == 3);  // before the row is written
  reservation.grant();
  CHECK_FALSE(reservation.due(1, 2, 1'000'000));
  CHECK(reservation.settleAt() == kNever);

  SUBCASE("and the next record waits for a row") {
    REQUIRE(reservation.hold(waiting(3)));
    REQUIRE(reservation.due(1, 2, 2'000'000));
    CHECK(reservation.propose(at(1, 2), 2'000'000).newest_read >= 3);
    CHECK(reservation.takeHeld().empty());
    reservation.grant();
    CHECK(reservation.takeHeld().size() == 1);
    CHECK(reservation.takeHeld().empty());
  }
}

TEST_CASE("reservation: records that wait are bounded, in number and in bytes") {
  Reservation many(fresh(), false, 90, 0);
  for (size_t i = 0; i < Reservation::kMostHeld; ++i) REQUIRE(many.hold(waiting(100 + i)));
  CHECK_FALSE(many.hold(waiting(1)));
  Reservation large(fresh(), false, 90, 0);
  for (size_t i = 0; i < 64; ++i) REQUIRE(large.hold(waiting(100 + i, 16'384)));
  CHECK_FALSE(large.hold(waiting(1)));
}

TEST_CASE("reservation: the block grows with the traffic, and the end of all numbers is kept") {
  Reservation reservation(fresh(), false, 90, 0);
  uint64_t read = 0, rows = 0;
  for (Milliseconds now = 0; now < 2'000; ++now) {
    read = std::min(read + 50, reservation.granted().read - 1);
    if (reservation.due(1, read, now)) {
      reservation.propose(at(1, read), now);
      reservation.grant();
      rows += 1;
    }
  }
  CHECK(reservation.granted().read - read > 5'000);
  CHECK(rows < 40);

  // Of steady traffic a row or two a second, however much it is; and no record waits once it has begun.
  for (const uint64_t a_second : {20, 100, 240, 1'000, 10'000}) {
    Reservation steady(fresh(), false, 90, 0);
    uint64_t newest = 0, later = 0;
    for (Milliseconds now = 0; now < 20'000; ++now) {
      newest = 1 + a_second * now / 1'000;
      if (now >= 10'000) REQUIRE(newest < steady.granted().read);
      if (newest >= steady.granted().read) REQUIRE(steady.hold(waiting(newest, 1)));
      // The store takes 50 ms.
      if (steady.pending() && now % 50 == 0) steady.grant();
      (void)steady.takeHeld();
      if (!steady.due(1, newest, now)) continue;
      steady.propose(at(1, newest), now);
      later += now >= 10'000;
    }
    CAPTURE(a_second);
    CHECK(later <= 20 + 2);
    CHECK(steady.granted().read - newest <= a_second * 14 / 10 + Reservation::kShortest);
  }

  constexpr uint64_t kEnd = uint64_t{1} << 48;
  Reservation last(at(kEnd - 10, kEnd - 10), true, 1, 0);
  REQUIRE(last.hold(waiting(kEnd - 1)));
  const RecordPosition row = last.propose(at(kEnd - 10, kEnd - 10), 0);
  CHECK(row.next_write == kEnd);
  CHECK(row.newest_read == kEnd - 1);
}

TEST_CASE("reservation: killed at any time, no number is used twice and no record taken twice") {
  std::mt19937_64 random(20'261'129);
  for (int run = 0; run < 200; ++run) {
    RecordPosition row = at(1, 0);
    uint64_t used = 0, taken = 0;  // all before, in any process
    bool from_row = false;
    for (int process = 0; process < 10; ++process) {
      RecordPosition now_at = row;
      auto reservation = std::make_unique<Reservation>(row, from_row, 90, 0);
      RecordPosition in_flight = row;
      uint64_t peer = now_at.newest_read;
      Milliseconds now = 0;
      const uint64_t steps = random() % 3'000;
      for (uint64_t step = 0; step < steps; ++step) {
        now += random() % 100 == 0 ? 1'500 : random() % 3;
        if (random() % 2 && now_at.next_write < reservation->granted().write) {
          REQUIRE(now_at.next_write > used);
          used = now_at.next_write++;
        }
        if (random() % 3) peer += 1 + random() % 4;
        if (peer < reservation->granted().read && peer > now_at.newest_read) {
          REQUIRE(peer > taken);
          taken = now_at.newest_read = peer;
        } else if (peer >= reservation->granted().read) {
          reservation->hold(waiting(peer));
        }
        if (reservation->due(now_at.next_write, now_at.newest_read, now)) {
          in_flight = reservation->propose(now_at, now);
        }
        if (reservation->pending() && random() % 8 == 0) {
          row = in_flight;
          from_row = true;
          reservation->grant();
          for (const HeldRecord& held : reservation->takeHeld()) {
            if (held.sequence <= now_at.newest_read) continue;
            REQUIRE(held.sequence > taken);
            taken = now_at.newest_read = held.sequence;
          }
        }
      }
      // The store may have taken what it has not said yet.
      if (reservation->pending() && random() % 2) {
        row = in_flight;
        from_row = true;
      }
      if (!from_row) break;  // nobody can go on with a session that has no row
    }
  }
}

TEST_CASE("a row is bound to its name, and no export") {
  PairOptions options;
  DtlsPair pair(options);
  pair.connect(steadyNow());
  pair.run();
  REQUIRE(pair.bothOpen());
  const Bytes key(SessionSeal::kKeyBytes, 0x5e);
  const Bytes name(16, 1), other(16, 2);
  AddressBytes address;
  REQUIRE(address.append(Bytes{4, 192, 0, 2, 1, 0x16, 0x33}));
  pair.server->reserve(false, 1'400, 0);
  Bytes row;
  SessionSeal seal(key);
  REQUIRE(seal.seal({pair.server->row(0), address, 0}, row, name));
  const auto context = DtlsPair::contextOf(contextOptions(Role::Server));
  CHECK(seal.unseal(row, *context, name).fault == SealFault::None);
  CHECK(seal.unseal(row, *context, other).fault == SealFault::Forged);
  CHECK(seal.unseal(row, *context).fault == SealFault::Forged);
  // The session itself goes on, and its next row has another nonce.
  CHECK(pair.server->open());
  Bytes next;
  pair.server->rowWritten(0, pair.at_server);
  REQUIRE(seal.seal({pair.server->row(0), address, 0}, next, name));
  CHECK(!std::equal(row.begin() + 1, row.begin() + 13, next.begin() + 1));
}
