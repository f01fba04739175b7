// The record layer against itself: every suite, every way in which a record can be wrong.
#include "record/record_layer.h"

#include <doctest/doctest.h>

#include <set>

#include "wire.h"

using namespace mcbn;
using wire::Noise;

namespace {

struct Named {
  const char* name;
  const AeadSuite& suite;
};
const Named kSuites[] = {
    {"AES-128-GCM", aead::kAes128Gcm},     {"AES-256-GCM", aead::kAes256Gcm},
    {"AES-128-CCM", aead::kAes128Ccm},     {"AES-256-CCM", aead::kAes256Ccm},
    {"AES-128-CCM-8", aead::kAes128Ccm8},  {"AES-256-CCM-8", aead::kAes256Ccm8},
    {"ChaCha20", aead::kChaCha20Poly1305},
};
constexpr uint8_t kData = content_type::kApplicationData;

RecordKeys keysOf(const AeadSuite& suite, uint8_t write, uint8_t read) {
  const Bytes a(suite.key, write), b(suite.key, read);
  return {Secret(a), Secret(b), Bytes(suite.fixed_iv, write), Bytes(suite.fixed_iv, read)};
}

struct Pair {
  explicit Pair(const AeadSuite& suite, CipherContexts* contexts = nullptr)
      : suite_(suite),
        ours(suite, 1, keysOf(suite, 1, 2), 1, 0, contexts),
        theirs(suite, 1, keysOf(suite, 2, 1), 1, 0, contexts) {}

  Bytes seal(const Bytes& message, uint8_t type = kData) {
    Bytes record(ours.sealedSize(message.size()));
    REQUIRE(ours.seal(type, message, record.data()));
    return record;
  }
  std::optional<Bytes> open(const Bytes& datagram) {
    ByteView rest(datagram);
    const auto record = nextRecord(rest);
    REQUIRE(record.has_value());
    Bytes place(record->fragment.size());
    const auto length = theirs.open(*record, place.data());
    if (!length) return std::nullopt;
    const auto begin = place.begin() + static_cast<ptrdiff_t>(theirs.contentOffset());
    return Bytes(begin, begin + static_cast<ptrdiff_t>(*length));
  }

  const AeadSuite& suite_;
  RecordLayer ours, theirs;
};

}  // namespace

TEST_CASE("record layer: carries messages of every length with every suite") {
  Noise noise(1);
  for (const Named& named : kSuites) {
    const char* const name = named.name;
    const AeadSuite& suite = named.suite;
    CAPTURE(name);
    Pair pair(suite);
    for (const size_t length : {0, 1, 15, 16, 17, 64, 1200, 16384}) {
      CAPTURE(length);
      const Bytes message = noise.bytes(length);
      const Bytes record = pair.seal(message);
      CHECK(record.size() == kDtlsRecordHeaderBytes + suite.overhead() + length);
      const auto opened = pair.open(record);
      REQUIRE(opened.has_value());
      CHECK(*opened == message);
    }
  }
}

TEST_CASE("record layer: never writes a nonce twice, whatever becomes of its cipher context") {
  for (const Named& named : kSuites) {
    const char* const name = named.name;
    const AeadSuite& suite = named.suite;
    if (suite.explicit_nonce == 0) continue;  // the sequence number alone makes it
    CAPTURE(name);
    CipherContexts contexts(2);  // of five pairs: every use evicts another's
    std::vector<std::unique_ptr<Pair>> pairs;
    for (int i = 0; i < 5; ++i) pairs.push_back(std::make_unique<Pair>(suite, &contexts));
    std::vector<std::set<Bytes>> nonces(pairs.size());
    for (unsigned round = 0; round < 20; ++round) {
      for (size_t i = 0; i < pairs.size(); ++i) {
        const Bytes record = pairs[i]->seal(wire::text("same"));
        const auto begin = record.begin() + kDtlsRecordHeaderBytes;
        const Bytes nonce(begin, begin + 8);
        CHECK(nonces[i].insert(nonce).second);
        // RFC 6655 section 3: epoch and sequence number, as in the header.
        CHECK(nonce == Bytes(record.begin() + 3, record.begin() + 11));
        CHECK(pairs[i]->open(record) == wire::text("same"));
        CHECK(contexts.count() <= 2);
      }
    }
    pairs.clear();
    CHECK(contexts.count() == 0);
  }
}

TEST_CASE("record layer: drops what was altered, anywhere (RFC 6347 section 4.1.2.7)") {
  for (const Named& named : kSuites) {
    const char* const name = named.name;
    const AeadSuite& suite = named.suite;
    CAPTURE(name);
    Pair pair(suite);
    for (int i = 0; i < 4; ++i) pair.seal({});  // so that no altered number is one already seen
    const Bytes record = pair.seal(wire::text("a message"));
    for (size_t at = 0; at < record.size(); ++at) {
      CAPTURE(at);
      if (at == 11 || at == 12) continue;  // the length: framing, another test
      Bytes altered = record;
      altered[at] ^= 0x01;
      if (at == 1 || at == 2 || at == 3 || at == 4) {
        ByteView rest(altered);
        const auto parsed = nextRecord(rest);
        Bytes place(record.size());
        if (parsed) CHECK(!pair.theirs.open(*parsed, place.data()).has_value());
        continue;
      }
      // The explicit nonce of CCM and GCM is part of the nonce; all else is additional data or
      // text.
      CHECK(!pair.open(altered).has_value());
      CHECK(pair.theirs.dropReason() == DropReason::BadMac);
    }
    // And the window did not move for any of them.
    CHECK(pair.open(record) == wire::text("a message"));
  }
}

TEST_CASE("record layer: drops repeats, other epochs, other versions and stumps, and says which") {
  for (const Named& named : kSuites) {
    const char* const name = named.name;
    const AeadSuite& suite = named.suite;
    CAPTURE(name);
    Pair pair(suite);
    const Bytes first = pair.seal(wire::text("1"));
    std::vector<Bytes> later;
    for (int i = 0; i < 80; ++i) later.push_back(pair.seal(wire::text("x")));
    CHECK(pair.open(first).has_value());
    CHECK(!pair.open(first).has_value());
    CHECK(pair.theirs.dropReason() == DropReason::Replayed);
    // Out of order within the window, and too old behind it (RFC 6347 section 4.1.2.6).
    CHECK(pair.open(later[79]).has_value());
    CHECK(pair.open(later[20]).has_value());
    CHECK(!pair.open(later[20]).has_value());
    CHECK(!pair.open(later[5]).has_value());
    CHECK(pair.theirs.dropReason() == DropReason::Replayed);

    Bytes other = later[78];
    other[4] = 2;
    CHECK(!pair.open(other).has_value());
    CHECK(pair.theirs.dropReason() == DropReason::WrongEpoch);
    other = later[78];
    other[2] = 0xff;
    CHECK(!pair.open(other).has_value());
    CHECK(pair.theirs.dropReason() == DropReason::WrongVersion);
    for (size_t length = 0; length < suite.overhead(); ++length) {
      Bytes stump(later[78].begin(),
                  later[78].begin() + static_cast<ptrdiff_t>(kDtlsRecordHeaderBytes + length));
      stump[11] = 0;
      stump[12] = static_cast<uint8_t>(length);
      CHECK(!pair.open(stump).has_value());
      CHECK(pair.theirs.dropReason() == DropReason::Malformed);
    }
    CHECK(pair.open(later[78]).has_value());
  }
}

TEST_CASE("record layer: the record that ended the handshake cannot be played again") {
  const AeadSuite& suite = aead::kAes128Ccm8;
  RecordLayer sender(suite, 1, keysOf(suite, 1, 2), 0, 0, nullptr);
  RecordLayer receiver(suite, 1, keysOf(suite, 2, 1), 1, 0, nullptr);
  Bytes record(sender.sealedSize(16));
  REQUIRE(sender.seal(content_type::kHandshake, Bytes(16, 1), record.data()));
  ByteView rest(record);
  Bytes place(record.size());
  CHECK(!receiver.open(*nextRecord(rest), place.data()).has_value());
  CHECK(receiver.dropReason() == DropReason::Replayed);
}

TEST_CASE(
    "record layer: forgeries are counted; they end a session only where a limit is set (RFC 6347 "
    "section 4.1.2.7)") {
  Pair pair(aead::kAes128Ccm8);
  for (unsigned i = 0; i < 1'000; ++i) {
    Bytes forged = pair.seal(wire::text("x"));
    forged.back() ^= 1;
    CHECK(!pair.open(forged).has_value());
  }
  CHECK(pair.theirs.forgeries() == 1'000);
  CHECK(!pair.theirs.exhausted());
  CHECK(pair.open(pair.seal(wire::text("y"))).has_value());
}

TEST_CASE("record layer: a limit of forgeries") {
  Pair pair(aead::kAes128Ccm8);
  pair.theirs.limitForgeries(5);
  for (uint64_t i = 0; i < 5; ++i) {
    CHECK(!pair.theirs.exhausted());
    Bytes forged = pair.seal(wire::text("x"));
    forged.back() ^= 1;
    CHECK(!pair.open(forged).has_value());
    CHECK(pair.theirs.forgeries() == i + 1);
  }
  CHECK(pair.theirs.exhausted());
}

TEST_CASE("record layer: counts blocks and sequence numbers, and ends before they run out") {
  AeadSuite strict = aead::kAes128Gcm;
  strict.blocks = 100;
  Pair pair(strict);
  unsigned records = 0;
  while (!pair.ours.exhausted()) {
    pair.seal(Bytes(160, 1));
    records += 1;
  }
  CHECK(records == 8);  // 10 blocks of text, 3 beside it

  const AeadSuite& suite = aead::kChaCha20Poly1305;
  const uint64_t last = (uint64_t{1} << 48) - 1;
  RecordLayer layer(suite, 1, keysOf(suite, 1, 2), last - 17, 0, nullptr);
  Bytes record(layer.sealedSize(1));
  CHECK(!layer.exhausted());
  REQUIRE(layer.seal(kData, wire::text("x"), record.data()));
  CHECK(layer.exhausted());
  for (unsigned i = 0; i < 17; ++i) REQUIRE(layer.seal(kData, wire::text("x"), record.data()));
  // RFC 6347 section 4.1: a sequence number must never wrap.
  CHECK(!layer.seal(kData, wire::text("x"), record.data()));
}
