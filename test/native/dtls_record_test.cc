#include "record/dtls_record.h"

#include <doctest/doctest.h>

#include "record/handshake_fragment.h"
#include "wire.h"

using namespace mcbn;

TEST_CASE("record: a datagram cut at any byte is no record, and its rest is dropped") {
  const Bytes whole = wire::record(content_type::kHandshake, 0, 7, Bytes(20, 5));
  for (size_t cut = 0; cut < whole.size(); cut++) {
    const wire::Exact part(ByteView(whole).first(cut));
    ByteView datagram = part.view();
    CHECK_FALSE(nextRecord(datagram));
    CHECK(datagram.empty());
  }
}

TEST_CASE("record: lengths that lie and foreign versions are refused") {
  Bytes lying = wire::record(content_type::kHandshake, 0, 7, Bytes(20, 5));
  lying[12]++;
  ByteView datagram = lying;
  CHECK_FALSE(nextRecord(datagram));

  const Bytes tooLong =
      wire::record(content_type::kHandshake, 0, 7, Bytes(kMaxRecordFragmentBytes + 1));
  datagram = tooLong;
  CHECK_FALSE(nextRecord(datagram));

  for (const uint16_t version : {0x0303, 0x0100, 0x0000, 0xFFFF}) {
    const Bytes foreign = wire::record(content_type::kHandshake, 0, 7, Bytes(4), version);
    datagram = foreign;
    CHECK_FALSE(nextRecord(datagram));
  }
}

TEST_CASE(
    "record: one datagram carries several (RFC 6347 4.1.1); good ones before a bad one count") {
  const Bytes first = wire::record(content_type::kHandshake, 0, 0x010203040506, Bytes{1, 2});
  const Bytes second = wire::record(content_type::kApplicationData, 1, 9, Bytes());
  const Bytes all = wire::joined({first, second, Bytes{22, 0xFE}});
  ByteView datagram = all;
  const auto one = nextRecord(datagram);
  REQUIRE(one);
  CHECK(one->type == 22);
  CHECK(one->version == kDtls12);
  CHECK(one->epoch == 0);
  CHECK(one->sequence == 0x010203040506);
  CHECK(one->fragment.size() == 2);
  CHECK(Bytes(one->whole.begin(), one->whole.end()) == first);
  const auto two = nextRecord(datagram);
  REQUIRE(two);
  CHECK(two->epoch == 1);
  CHECK(two->fragment.empty());
  CHECK(two->whole.size() == kDtlsRecordHeaderBytes);
  CHECK_FALSE(datagram.empty());
  CHECK_FALSE(nextRecord(datagram));
  CHECK(datagram.empty());
}

TEST_CASE("record: noise never reads beyond its end (seed 1)") {
  wire::Noise noise(1);
  for (int round = 0; round < 20000; round++) {
    const wire::Exact bytes(noise.damaged(
        wire::joined({wire::clientHello(), wire::record(23, 1, 2, noise.bytes(noise.below(64)))})));
    ByteView datagram = bytes.view();
    size_t consumed = 0;
    while (const auto record = nextRecord(datagram)) {
      consumed += record->whole.size();
      Reader fragments(record->fragment);
      while (const auto fragment = nextFragment(fragments)) {
        REQUIRE(fragment->offset + fragment->body.size() <= fragment->length);
      }
    }
    REQUIRE(consumed <= bytes.view().size());
  }
}

TEST_CASE("alert: the 15 bytes of RFC 6347 4.1 and RFC 5246 7.2") {
  CHECK(plaintextAlert(kDtls12, 0x0203, alert::kFatal, alert::kUnknownPskIdentity) ==
        Bytes{21, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 2, 3, 0, 2, 2, 115});
}

TEST_CASE("fragment: what lies outside its message, or is empty without need, is refused") {
  struct Case {
    uint32_t length, offset, size;
    bool good;
  };
  const Case cases[] = {
      {10, 0, 10, true},       {10, 4, 6, true},  {10, 5, 6, false}, {10, 11, 0, false},
      {10, 10, 0, false},      {0, 0, 0, true},   {0, 0, 1, false},  {0xFFFFFF, 0xFFFFFF, 1, false},
      {0xFFFFFF, 0, 10, true}, {10, 0, 0, false},
  };
  for (const Case& row : cases) {
    Bytes bytes;
    Writer(bytes).u8(1).u24(row.length).u16(0).u24(row.offset).u24(row.size);
    bytes.resize(bytes.size() + row.size);
    Reader reader(bytes);
    CHECK_MESSAGE(nextFragment(reader).has_value() == row.good,
                  row.length << '/' << row.offset << '/' << row.size);
  }
}
