#include "base/bytes.h"

#include <doctest/doctest.h>

#include "base/few.h"
#include "record/replay_window.h"

using namespace mcbn;

TEST_CASE("reader: a read beyond the end fails, consumes nothing and leaves its output") {
  const Bytes two = {1, 2};
  Reader reader(two);
  uint32_t number = 77;
  ByteView view = two;
  CHECK_FALSE(reader.u24(number));
  CHECK_FALSE(reader.take(3, view));
  CHECK(number == 77);
  CHECK(view.size() == 2);
  CHECK(reader.remaining() == 2);
  uint16_t both = 0;
  CHECK(reader.u16(both));
  CHECK(both == 0x0102);
  CHECK(reader.empty());
  CHECK_FALSE(reader.u16(both));
}

TEST_CASE("reader: a vector longer than what follows fails and gives its length back") {
  const Bytes lying = {0, 3, 1, 2};
  Reader reader(lying);
  ByteView view;
  CHECK_FALSE(reader.vector16(view));
  CHECK(reader.remaining() == 4);
  CHECK(reader.vector8(view));
  CHECK(view.empty());
  CHECK(reader.remaining() == 3);
}

TEST_CASE("writer and reader agree on every width") {
  Bytes out;
  Writer(out).u8(0xA1).u16(0xB1B2).u24(0xC1C2C3).u32(0xD1D2D3D4).u48(0xE1E2E3E4E5E6);
  CHECK(out.size() == 16);
  CHECK(out[1] == 0xB1);
  Reader reader(out);
  uint8_t a = 0;
  uint16_t b = 0;
  uint32_t c = 0, d = 0;
  uint64_t e = 0;
  CHECK((reader.u8(a) && reader.u16(b) && reader.u24(c) && reader.u32(d) && reader.u48(e)));
  CHECK(a == 0xA1);
  CHECK(b == 0xB1B2);
  CHECK(c == 0xC1C2C3);
  CHECK(d == 0xD1D2D3D4);
  CHECK(e == 0xE1E2E3E4E5E6);
}

TEST_CASE("replay window: the last 64 numbers count once, older ones never (RFC 6347 4.1.2.6)") {
  ReplayWindow window;
  CHECK_FALSE(window.seen(0));
  window.mark(0);
  CHECK(window.seen(0));
  window.mark(63);
  CHECK(window.seen(0));
  CHECK_FALSE(window.seen(1));
  window.mark(1);
  CHECK(window.seen(1));
  window.mark(64);
  CHECK(window.seen(0));  // too old now
  window.mark((uint64_t{1} << 48) - 1);
  CHECK(window.seen(64));
  CHECK(window.seen((uint64_t{1} << 48) - 1));
  CHECK_FALSE(window.seen((uint64_t{1} << 48) - 2));
  CHECK(window.seen((uint64_t{1} << 48) - 65));
}

TEST_CASE("few: holds what was added, in order, until it is full, and begins anew") {
  Few<ByteView, 3> views;
  CHECK(views.size() == 0);
  const Bytes bytes = {1, 2, 3};
  for (size_t i = 0; i < 3; ++i) {
    CHECK_FALSE(views.full());
    views.add(ByteView(bytes).first(i + 1));
  }
  CHECK(views.full());
  CHECK(views[1].size() == 2);
  REQUIRE(views.items().size() == 3);
  CHECK(views.items()[2].size() == 3);
  views.clear();
  CHECK(views.items().empty());
  CHECK(views.add(bytes).size() == 3);
}
