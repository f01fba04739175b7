// The records of DTLS 1.3 against themselves: every suite, every way in which a record can be wrong.
#include <doctest/doctest.h>

#include "dtls13/records.h"
#include "dtls13_record_pair.h"

using namespace mcbn;
using namespace mcbn::dtls13;
using wire::Noise;
using wire::text;

TEST_CASE(
    "dtls13 records: drop what was altered, anywhere, and lose nothing by it (section 4.5.2)") {
  for (const Suite* const suite : kSuites) {
    for (const size_t id : {0, 5}) {
      CAPTURE(suite->name);
      CAPTURE(id);
      Pair pair(*suite, Bytes(id, 0x1D));
      for (int i = 0; i < 4; ++i) pair.seal({});
      const Bytes record = pair.seal(text("a message"));
      for (size_t at = 0; at < record.size(); ++at) {
        CAPTURE(at);
        Bytes altered = record;
        altered[at] ^= 0x01;
        CHECK(!pair.open(altered).has_value());
      }
      // Header bits change where everything is, the length what belongs to the record: other reasons
      // than a tag that is wrong, but never a message.
      for (unsigned first = 0; first < 256; ++first) {
        Bytes altered = record;
        altered[0] = static_cast<uint8_t>(first);
        if (altered[0] != record[0] && first != 21 && first != 22 && first != 26) {
          CHECK(!pair.open(altered).has_value());
        }
      }
      CHECK(pair.open(record) == text("a message"));
    }
  }
}

TEST_CASE(
    "dtls13 records: what is shorter than the sample of the mask is no record (section 4.2.3)") {
  for (const Suite* const suite : kSuites) {
    CAPTURE(suite->name);
    Pair pair(*suite);
    const Bytes record = pair.seal(text("long enough"));
    for (size_t encrypted = 0; encrypted < kMinEncryptedBytes; ++encrypted) {
      Bytes stump(record.begin(), record.begin() + static_cast<ptrdiff_t>(5 + encrypted));
      stump[3] = 0;
      stump[4] = static_cast<uint8_t>(encrypted);
      CHECK(!pair.open(stump).has_value());
    }
    CHECK(pair.theirs.dropped().of(DropReason::Malformed) == kMinEncryptedBytes);
    CHECK(pair.theirs.dropped().total() == kMinEncryptedBytes);
  }
}

TEST_CASE("dtls13 records: drop repeats and what is older than the window (section 4.5.1)") {
  Pair pair(suite::kAes128Gcm);
  std::vector<Bytes> records;
  for (int i = 0; i < 100; ++i) records.push_back(pair.seal(text("x")));
  CHECK(pair.open(records[0]).has_value());
  CHECK(!pair.open(records[0]).has_value());
  CHECK(pair.open(records[99]).has_value());
  CHECK(pair.open(records[40]).has_value());
  CHECK(!pair.open(records[40]).has_value());
  CHECK(!pair.open(records[20]).has_value());
  CHECK(pair.theirs.dropped().of(DropReason::Replayed) == 3);
  CHECK(pair.theirs.dropped().total() == 3);
}

TEST_CASE("dtls13 records: plaintext, padding and content types inside (sections 4 and 4.1)") {
  for (const Suite* const suite : kSuites) {
    CAPTURE(suite->name);
    Pair pair(*suite);
    Forger forger(*suite, pair.secret());
    CHECK(pair.open(forger.record(1, text("padded\x17") /* and zeros */, 200)) == text("padded"));
    CHECK(!pair.open(forger.record(2, {}, 40)).has_value());              // nothing but zeros
    CHECK(!pair.open(forger.record(3, text("\x14"), 20)).has_value());    // ChangeCipherSpec
    CHECK(!pair.open(forger.record(4, text("hi\x19"), 20)).has_value());  // tls12_cid
    CHECK(pair.theirs.dropped().of(DropReason::Malformed) == 3);
    // RFC 8446 section 5.4: TLSInnerPlaintext has 2^14 + 1 bytes at most.
    Bytes longest(kMaxContentBytes + 1, 0x17);
    CHECK(pair.open(forger.record(5, longest, 0))->size() == kMaxContentBytes);
    longest.push_back(0x17);
    CHECK(!pair.open(forger.record(6, longest, 0)).has_value());
    CHECK(pair.theirs.dropped().total() == 4);
    // None of it counts as forged: who made it has the key.
    CHECK(pair.theirs.readWear(3) == KeyWear::Fine);
  }
}

TEST_CASE("dtls13 records: in the clear anything may come, and says that it is of epoch 0") {
  Records records;
  Bytes datagram;
  appendPlaintextRecord(content_type::kHandshake, 7, text("hello"), datagram);
  appendPlaintextRecord(content_type::kAck, 7, {}, datagram);
  const size_t both = datagram.size();
  wire::Exact exact(datagram);
  RecordTrain incoming{MutableBytes(datagram)};
  auto record = records.next(incoming);
  REQUIRE(record.has_value());
  CHECK(record->number == RecordNumber{0, 7});
  CHECK(record->type == content_type::kHandshake);
  CHECK(Bytes(record->content.begin(), record->content.end()) == text("hello"));
  record = records.next(incoming);
  REQUIRE(record.has_value());
  CHECK(record->type == content_type::kAck);
  CHECK(!records.next(incoming).has_value());
  CHECK(records.dropped().total() == 0);

  // Another epoch in such a header is none of DTLS 1.3 (section 6.1).
  datagram[4] = 1;
  RecordTrain again{MutableBytes(datagram)};
  record = records.next(again);
  REQUIRE(record.has_value());
  CHECK(record->type == content_type::kAck);
  CHECK(records.dropped().of(DropReason::WrongEpoch) == 1);

  // Every stump of it: the first record or nothing, and nothing beyond its end.
  datagram[4] = 0;
  for (size_t length = 0; length < both; ++length) {
    Bytes stump(datagram.begin(), datagram.begin() + static_cast<ptrdiff_t>(length));
    const uint64_t damaged = records.dropped().of(DropReason::Malformed);
    RecordTrain cut{MutableBytes(stump)};
    size_t seen = 0;
    while (records.next(cut)) seen += 1;
    CHECK(seen == (length >= 13 + 5 ? 1 : 0));
    const uint64_t expected = length != 0 && length != 13 + 5 ? 1 : 0;
    CHECK(records.dropped().of(DropReason::Malformed) - damaged == expected);
  }
}

TEST_CASE("dtls13 records: carry content of every length with every suite, each its number") {
  Noise noise(1);
  for (const Suite* const suite : kSuites) {
    CAPTURE(suite->name);
    Pair pair(*suite);
    uint64_t number = 0;
    for (const size_t length : {0, 1, 6, 7, 15, 16, 17, 64, 1200, 16384}) {
      CAPTURE(length);
      const Bytes content = noise.bytes(length);
      Bytes datagram;
      CHECK(pair.ours.seal(3, kData, content, datagram) == RecordNumber{3, number});
      CHECK(datagram.size() == pair.ours.sealedSize(3, length));
      RecordTrain incoming{MutableBytes(datagram)};
      const auto record = pair.theirs.next(incoming);
      REQUIRE(record.has_value());
      CHECK(record->number == RecordNumber{3, number++});
      CHECK(record->newest);
      CHECK(record->type == kData);
      CHECK(Bytes(record->content.begin(), record->content.end()) == content);
      CHECK(!pair.theirs.next(incoming).has_value());
    }
    Bytes datagram;
    CHECK(!pair.ours.seal(3, kData, Bytes(kMaxContentBytes + 1), datagram).has_value());
    CHECK(!pair.ours.seal(4, kData, {}, datagram).has_value());
    CHECK(datagram.empty());
  }
}

TEST_CASE("dtls13 records: several records in a datagram, of several epochs, in any order") {
  Pair pair(suite::kAes128Gcm);
  const Secret other = pair.secret(9);
  REQUIRE(pair.ours.startWriting(2, suite::kAes256Gcm, Secret(Bytes(48, 9))));
  REQUIRE(pair.theirs.startReading(2, suite::kAes256Gcm, Secret(Bytes(48, 9))));
  Bytes datagram;
  REQUIRE(pair.ours.seal(0, content_type::kHandshake, text("0"), datagram));
  REQUIRE(pair.ours.seal(2, content_type::kHandshake, text("2"), datagram));
  REQUIRE(pair.ours.seal(3, kData, text("3"), datagram));
  REQUIRE(pair.ours.seal(2, content_type::kAck, text("2 again"), datagram));
  RecordTrain incoming{MutableBytes(datagram)};
  std::vector<std::pair<RecordNumber, Bytes>> seen;
  std::vector<bool> newest;
  while (const auto record = pair.theirs.next(incoming)) {
    seen.emplace_back(record->number, Bytes(record->content.begin(), record->content.end()));
    newest.push_back(record->newest);
  }
  REQUIRE(seen.size() == 4);
  CHECK(seen[0] == std::pair(RecordNumber{0, 0}, text("0")));
  CHECK(seen[1] == std::pair(RecordNumber{2, 0}, text("2")));
  CHECK(seen[2] == std::pair(RecordNumber{3, 0}, text("3")));
  CHECK(seen[3] == std::pair(RecordNumber{2, 1}, text("2 again")));
  CHECK(newest == std::vector<bool>{false, true, true, false});
}

TEST_CASE(
    "dtls13 records: a datagram's later records are opened with keys that an earlier one brought") {
  Pair pair(suite::kAes128Gcm);
  Bytes datagram;
  REQUIRE(pair.ours.startWriting(2, suite::kAes128Gcm, pair.secret(2)));
  REQUIRE(pair.ours.seal(0, content_type::kHandshake, text("server hello"), datagram));
  REQUIRE(pair.ours.seal(2, content_type::kHandshake, text("extensions"), datagram));
  RecordTrain incoming{MutableBytes(datagram)};
  REQUIRE(pair.theirs.next(incoming).has_value());
  REQUIRE(pair.theirs.startReading(2, suite::kAes128Gcm, pair.secret(2)));
  CHECK(pair.theirs.next(incoming).has_value());
}

TEST_CASE(
    "dtls13 records: an epoch without keys is dropped, and the newer of two with the same bits "
    "wins") {
  Pair pair(suite::kChaCha20Poly1305);
  const Bytes old = pair.seal(text("of epoch 3")), older = pair.seal(text("late"));
  for (uint64_t epoch = 4; epoch <= 6; ++epoch) {
    REQUIRE(pair.ours.startWriting(epoch, suite::kChaCha20Poly1305, pair.secret(epoch)));
    Bytes early;
    REQUIRE(pair.ours.seal(epoch, kData, text("early"), early));
    CHECK(!pair.open(early).has_value());
    REQUIRE(pair.theirs.startReading(epoch, suite::kChaCha20Poly1305, pair.secret(epoch)));
    CHECK(pair.open(early) == text("early"));
  }
  CHECK(pair.theirs.dropped().of(DropReason::WrongEpoch) == 3);
  CHECK(pair.open(old) == text("of epoch 3"));
  REQUIRE(pair.theirs.startReading(7, suite::kChaCha20Poly1305, pair.secret(7)));
  CHECK(!pair.theirs.reads(3));
  CHECK(pair.theirs.reads(4));
  CHECK(!pair.open(older).has_value());
  CHECK(pair.theirs.dropped().of(DropReason::BadMac) == 1);
  pair.theirs.stopReading(3);  // gone already: takes nothing from epoch 7
  CHECK(pair.theirs.reads(7));
  pair.theirs.stopReading(7);
  CHECK(!pair.theirs.reads(7));
  CHECK(pair.ours.writes(3));
  pair.ours.stopWriting(3);
  CHECK(!pair.ours.writes(3));
  CHECK(pair.ours.sealedSize(3, 1) == 0);
}

TEST_CASE(
    "dtls13 records: numbers are reconstructed from 8 and 16 bits, across their wraps (section "
    "4.2.2)") {
  for (const bool long_number : {false, true}) {
    CAPTURE(long_number);
    const Suite& suite = suite::kAes128Gcm;
    Pair pair(suite);
    Forger forger(suite, pair.secret());
    forger.form = {.long_number = long_number, .length = false};
    const uint64_t span = long_number ? 65'536 : 256;
    const auto arrives = [&](uint64_t number) {
      Bytes datagram = forger.record(number, text("n\x17"), 0);
      RecordTrain incoming{MutableBytes(datagram)};
      const auto record = pair.theirs.next(incoming);
      return record && record->number == RecordNumber{3, number};
    };
    CHECK(arrives(0));
    CHECK(arrives(span / 2));                  // as far ahead as can be told
    CHECK(!arrives(span / 2 + span / 2 + 2));  // further: taken for another, and not authentic
    CHECK(pair.theirs.dropped().of(DropReason::BadMac) == 1);
    CHECK(arrives(span - 1));
    CHECK(arrives(span));  // wrapped
    CHECK(arrives(span - 20));
    CHECK(arrives(span + 100));
    CHECK(arrives(span + 99));
    CHECK(!arrives(span + 99));
    for (uint64_t number = span; number < 20 * span; number += span / 3) arrives(number);
    CHECK(pair.theirs.dropped().of(DropReason::BadMac) == 1);
  }
}

TEST_CASE("dtls13 records: forgeries are counted by key and end it at the limit (section 4.5.3)") {
  const Suite& suite = suite::kAes128Ccm8;
  Pair pair(suite);
  Noise noise(5);
  for (uint64_t i = 0; i < suite.forgeries; ++i) {
    CHECK(pair.theirs.readWear(3) == (i < suite.forgeries / 2 ? KeyWear::Fine : KeyWear::Renew));
    Bytes forged = pair.seal(text("a message"));
    forged.back() ^= 1;
    CHECK(!pair.open(forged).has_value());
  }
  CHECK(pair.theirs.readWear(3) == KeyWear::Spent);
  CHECK(!pair.open(pair.seal(text("true, and too late"))).has_value());
  // Newer keys begin a new count, and the association goes on with them.
  REQUIRE(pair.ours.startWriting(4, suite, pair.secret(4)));
  REQUIRE(pair.theirs.startReading(4, suite, pair.secret(4)));
  Bytes datagram;
  REQUIRE(pair.ours.seal(4, kData, text("renewed"), datagram));
  CHECK(pair.open(datagram) == text("renewed"));
  // Malformed, replayed or of no epoch: no forgery.
  for (const Suite* const other : kSuites) CHECK(other->forgeries >= 128);
}

TEST_CASE(
    "dtls13 records: keys are worn by what they sealed, and seal nothing more (section 4.5.3)") {
  Suite strict = suite::kAes128Gcm;
  strict.blocks = 100;
  Records ours;
  REQUIRE(ours.startWriting(3, strict, Secret(Bytes(32, 1))));
  CHECK(ours.writeWear(3) == KeyWear::Fine);
  CHECK(ours.writeWear(4) == KeyWear::Spent);
  unsigned renew = 0, records = 0;
  Bytes datagram;
  while (ours.seal(3, kData, Bytes(160, 1), datagram)) {
    records += 1;
    renew += ours.writeWear(3) == KeyWear::Renew ? 1 : 0;
  }
  CHECK(records == 8);  // 10 blocks of text, 3 beside it
  CHECK(renew == 4);
  const size_t size = datagram.size();
  CHECK(!ours.seal(3, kData, {}, datagram).has_value());
  CHECK(datagram.size() == size);
}
