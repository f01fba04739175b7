// Node IDs and where they are: late, too many and contradicting claims first.
#include "engine/fleet_directory.h"

#include <doctest/doctest.h>

#include "engine/arrivals.h"

using namespace mcbn;

namespace {

constexpr Milliseconds kNow = 1'000'000;
const Bytes kKey(32, 1);

Address at(uint16_t port) { return *Address::parse("192.0.2.1", port); }

// `told`: by the clock of the node at `port`. 0: it claims what it claims just now.
bool tell(FleetDirectory& directory, uint16_t port, std::initializer_list<NodeClaim> claims,
          Milliseconds now = kNow, uint64_t told = 0) {
  return directory.heard(at(port), std::vector<NodeClaim>(claims), told, now);
}

}  // namespace

TEST_CASE("fleet directory: an older claim takes nothing from anybody") {
  FleetDirectory directory(1, kKey, 5'000, kNow);
  tell(directory, 2, {{2, 6'000}});
  tell(directory, 3, {{1, 5'000}, {2, 5'999}});
  CHECK(directory.owns(1));
  CHECK(directory.find(2, kNow) == at(2));
}

TEST_CASE("fleet directory: the newest claim has the ID, this node's own too") {
  FleetDirectory directory(1, kKey, 5'000, kNow);
  tell(directory, 2, {{2, 6'000}});
  tell(directory, 3, {{1, 5'001}, {2, 6'001}});
  CHECK_FALSE(directory.owns(1));
  CHECK(directory.find(1, kNow) == at(3));
  CHECK(directory.find(2, kNow) == at(3));
  CHECK(directory.claims().empty());
}

TEST_CASE("fleet directory: taking over is newer than what is known, though clocks differ") {
  FleetDirectory directory(1, kKey, 5'000, kNow);
  tell(directory, 2, {{2, 9'000}});
  CHECK_FALSE(directory.takenOver(2));
  REQUIRE(directory.takeOver(2, 5'500));
  CHECK(directory.takenOver(2) == 9'001);
  CHECK_FALSE(directory.takenOver(1));  // its own from the beginning
  tell(directory, 2, {{2, 9'000}});
  CHECK(directory.owns(2));
  CHECK_FALSE(directory.find(2, kNow));
}

TEST_CASE("fleet directory: a node that begins again keeps its ID, though its clock lags") {
  // Another node took its ID over a minute ago and has told so since; this process began 5 s ago.
  constexpr uint64_t kTaken = 1'000'000;
  FleetDirectory directory(1, kKey, kTaken - 20'000, kNow - 5'000);
  tell(directory, 2, {{1, kTaken}, {2, kTaken - 90'000}}, kNow, kTaken + 60'000);
  REQUIRE(directory.owns(1));
  CHECK(directory.claims().front().since > kTaken);
  CHECK(directory.find(2, kNow) == at(2));
  // Taken over while it was there, however its clock is: 4 s ago, 3 s, just now by a clock that lags itself.
  for (const int64_t ago : {4'000, 3'000, -2'000}) {
    FleetDirectory older(1, kKey, kTaken - 20'000, kNow - 5'000);
    tell(older, 2, {{1, kTaken}}, kNow, kTaken + static_cast<uint64_t>(ago));
    CHECK_FALSE(older.owns(1));
    CHECK(older.find(1, kNow) == at(2));
  }
  // An ID that it took over itself is another's by any newer claim.
  REQUIRE(directory.takeOver(7, kTaken));
  tell(directory, 3, {{7, kTaken + 1}}, kNow, kTaken + 60'000);
  CHECK_FALSE(directory.owns(7));
}

TEST_CASE("fleet directory: what begins again at the same address is there at once") {
  FleetDirectory directory(1, kKey, 5'000, kNow);
  tell(directory, 2, {{2, 9'000}});
  tell(directory, 2, {{2, 6'000}}, kNow + 20'000);
  CHECK(directory.find(2, kNow + 20'000 + FleetDirectory::kForgottenAfter) == at(2));
  tell(directory, 3, {{2, 5'999}}, kNow + 20'000);
  CHECK(directory.find(2, kNow + 20'000) == at(2));
}

TEST_CASE("fleet directory: claims, nodes and members are bounded") {
  FleetDirectory directory(0, kKey, 5'000, kNow);
  for (uint32_t node = 1; node < FleetDirectory::kMostClaims; ++node) {
    REQUIRE(directory.takeOver(node, 6'000));
  }
  CHECK_FALSE(directory.takeOver(FleetDirectory::kMostClaims, 6'000));
  CHECK(directory.takeOver(5, 7'000));  // one of them again
  for (uint32_t node = 0; node < 2 * FleetDirectory::kMostNodes; ++node) {
    tell(directory, 1, {{100 + node, 5'000}});
  }
  CHECK(directory.known(kNow).size() == FleetDirectory::kMostClaims + FleetDirectory::kMostNodes);
  directory.setMembers(std::vector<Address>(5'000, at(9)));
  CHECK(directory.audience(kNow).size() <= FleetDirectory::kMostMembers + 1);
}

TEST_CASE("fleet directory: a silent node is forgotten, and an older claim may replace it") {
  FleetDirectory directory(1, kKey, 5'000, kNow);
  tell(directory, 2, {{2, 6'000}});
  const Milliseconds later = kNow + FleetDirectory::kForgottenAfter;
  CHECK(directory.find(2, later) == at(2));
  CHECK_FALSE(directory.find(2, later + 1));
  CHECK(directory.audience(later + 1).empty());
  tell(directory, 3, {{2, 5'500}}, later + 1);
  CHECK(directory.find(2, later + 1) == at(3));
}

TEST_CASE("fleet directory: says that a node is new, and that something has changed") {
  FleetDirectory directory(1, kKey, 5'000, kNow);
  CHECK(tell(directory, 2, {{2, 6'000}}));
  CHECK_FALSE(tell(directory, 2, {{2, 6'000}}));
  int changes = 0;
  directory.onChange([&] { changes += 1; });
  directory.setMembers({at(7)});
  directory.takeOver(3, 6'000);
  directory.onChange(nullptr);
  directory.takeOver(4, 6'000);
  CHECK(changes == 2);
  CHECK(directory.audience(kNow).size() == 2);
}

TEST_CASE("arrivals: what nobody comes for is forgotten, and there is never more than fits") {
  Arrivals arrivals;
  const Bytes id(8, 1), other(8, 2), datagram(1'000, 3);
  size_t held = 0;
  while (arrivals.hold(at(1), id, datagram, kNow)) held += 1;
  CHECK(held * datagram.size() < Arrivals::kMostBytes);
  CHECK(held > 3'000);
  CHECK(arrivals.take(other).empty());
  CHECK(arrivals.take(id).size() == held);
  CHECK(arrivals.empty());
  CHECK(arrivals.hold(at(1), id, datagram, kNow));
  CHECK(arrivals.hold(at(2), other, datagram, kNow + Arrivals::kPatience));
  CHECK(arrivals.take(id).empty());
  const auto taken = arrivals.take(other);
  REQUIRE(taken.size() == 1);
  CHECK(taken[0].from == at(2));
  CHECK(taken[0].datagram == datagram);
}
