#include "record/replay_window.h"

#include <doctest/doctest.h>

#include <random>
#include <set>

namespace mcbn {
namespace {

// RFC 6347 section 4.1.2.6 in the plainest words: every number that was ever marked.
class ReferenceWindow {
 public:
  explicit ReferenceWindow(uint64_t size) : size_(size) {}

  bool seen(uint64_t sequence) const {
    const uint64_t newest = marked_.empty() ? 0 : *marked_.rbegin();
    if (sequence + size_ <= newest) return true;
    return marked_.contains(sequence);
  }
  void mark(uint64_t sequence) { marked_.insert(sequence); }

 private:
  const uint64_t size_;
  std::set<uint64_t> marked_;
};

constexpr uint64_t kLastNumber = (uint64_t{1} << 48) - 1;

}  // namespace

TEST_CASE("replay window: agrees with a set of all numbers, for many sizes and sequences") {
  for (const size_t size :
       {32, 33, 63, 64, 65, 66, 127, 128, 129, 130, 192, 193, 1'000, 1'024, 4'096, 65'536}) {
    for (uint64_t seed = 0; seed < 12; ++seed) {
      CAPTURE(size);
      CAPTURE(seed);
      std::mt19937_64 random(seed);
      ReplayWindow window(size);
      ReferenceWindow reference(size);
      CHECK(window.size() == size);
      uint64_t newest = seed % 3 == 0 ? 0 : random() % (kLastNumber / 2);
      for (unsigned step = 0; step < 3'000; ++step) {
        uint64_t next = 0;
        switch (random() % 8) {
          case 0:
          case 1:
          case 2:
          case 3:
            next = newest + random() % 3;
            break;
          case 4:  // about the window's end
            next = newest - std::min(newest, size - 3 + random() % 6);
            break;
          case 5:
          case 6:
            next = newest - std::min(newest, random() % (size + 70));
            break;
          default:
            next = newest + random() % (3 * size);
        }
        next = std::min(next, kLastNumber);
        REQUIRE(window.seen(next) == reference.seen(next));
        // A record that is not authentic does not move the window.
        if (random() % 4 == 0) continue;
        window.mark(next);
        reference.mark(next);
        newest = std::max(newest, next);
        REQUIRE(window.seen(next));
        const uint64_t probe = newest - std::min(newest, random() % (2 * size));
        REQUIRE(window.seen(probe) == reference.seen(probe));
      }
    }
  }
}

TEST_CASE("replay window: every number once, in any order within its size") {
  for (const size_t size : {64, 65, 256, 4'096}) {
    ReplayWindow window(size);
    const uint64_t base = 1'000'000;
    window.mark(base + size - 1);
    for (uint64_t age = size - 1; age > 0; --age) {
      const uint64_t number = base + size - 1 - age;
      CHECK_FALSE(window.seen(number));
      window.mark(number);
      CHECK(window.seen(number));
    }
    CHECK(window.seen(base - 1));
    window.mark(base - 1);  // too old: no trace
    window.mark(base + size);
    CHECK(window.seen(base));
    CHECK_FALSE(window.seen(base + size + 1));
  }
}

TEST_CASE("replay window: a leap forgets everything older, up to the last number of an epoch") {
  for (const size_t size : {32, 64, 100, 1'024}) {
    ReplayWindow window(size);
    for (uint64_t number = 0; number < 3 * size; ++number) window.mark(number);
    window.mark(kLastNumber);
    CHECK(window.seen(kLastNumber));
    for (uint64_t age = 1; age < size; ++age) CHECK_FALSE(window.seen(kLastNumber - age));
    CHECK(window.seen(kLastNumber - size));
    CHECK(window.seen(0));
  }
}

TEST_CASE("replay window: sizes beyond its limits become the limits") {
  CHECK(ReplayWindow(0).size() == 32);
  CHECK(ReplayWindow(1'000'000).size() == 65'536);
  CHECK(ReplayWindow().size() == 64);
}

}  // namespace mcbn
