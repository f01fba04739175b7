#include "record/message_assembler.h"

#include <doctest/doctest.h>

#include <numeric>

#include "wire.h"

using namespace mcbn;
using Added = MessageAssembler::Added;

namespace {

Bytes counting(size_t size) {
  Bytes bytes(size);
  std::iota(bytes.begin(), bytes.end(), uint8_t{0});
  return bytes;
}

}  // namespace

TEST_CASE("assembler: refuses what lies outside, is too long or contradicts, and forgets it") {
  MessageAssembler assembler(100);
  CHECK(assembler.add(101, 0, Bytes(1)) == Added::Refused);
  CHECK(assembler.add(10, 11, {}) == Added::Refused);
  CHECK(assembler.add(10, 5, Bytes(6)) == Added::Refused);
  CHECK(assembler.add(10, size_t(0) - 1, Bytes(2)) == Added::Refused);
  CHECK_FALSE(assembler.started());
  CHECK(assembler.add(10, 0, Bytes(6, 1)) == Added::Partial);
  CHECK(assembler.add(11, 6, Bytes(4, 1)) == Added::Refused);
  CHECK(assembler.add(10, 5, Bytes{2, 2, 2, 2, 2}) == Added::Refused);
  CHECK(assembler.body().empty());
  CHECK(assembler.add(10, 6, Bytes(4, 3)) == Added::Complete);
  CHECK(assembler.body()[5] == 1);
  CHECK(assembler.body()[6] == 3);
  // After completion: repetitions are fine, other contents are not.
  CHECK(assembler.add(10, 0, Bytes(6, 1)) == Added::Complete);
  CHECK(assembler.add(10, 0, Bytes(6, 2)) == Added::Refused);
  CHECK(assembler.complete());
}

TEST_CASE("assembler: an empty message is complete at once") {
  MessageAssembler assembler(100);
  CHECK_FALSE(assembler.complete());
  CHECK(assembler.add(0, 0, {}) == Added::Complete);
  CHECK(assembler.complete());
  CHECK(assembler.body().empty());
}

TEST_CASE("assembler: any order, repeated and overlapping, gives the message (seed 4)") {
  wire::Noise noise(4);
  for (int round = 0; round < 2000; round++) {
    const Bytes whole = counting(1 + noise.below(200));
    MessageAssembler assembler(200);
    std::vector<bool> covered(whole.size());
    size_t missing = whole.size();
    while (missing > 0) {
      const size_t offset = noise.below(whole.size());
      const size_t size = 1 + noise.below(whole.size() - offset);
      const wire::Exact part(ByteView(whole).subspan(offset, size));
      for (size_t i = offset; i < offset + size; i++) {
        missing -= !covered[i];
        covered[i] = true;
      }
      const Added added = assembler.add(whole.size(), offset, part.view());
      REQUIRE(added == (missing == 0 ? Added::Complete : Added::Partial));
    }
    REQUIRE(Bytes(assembler.body().begin(), assembler.body().end()) == whole);
  }
}

TEST_CASE("assembler: reset makes room for another message") {
  MessageAssembler assembler(10);
  CHECK(assembler.add(3, 0, Bytes(3, 1)) == Added::Complete);
  assembler.reset();
  CHECK_FALSE(assembler.started());
  CHECK(assembler.add(4, 0, Bytes(4, 2)) == Added::Complete);
  CHECK(assembler.body().size() == 4);
}
