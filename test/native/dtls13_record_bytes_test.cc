// The bytes of DTLS 1.3 records: beside OpenSSL's primitives, beside published masks; connection IDs
// and headers in all their forms.
#include <doctest/doctest.h>

#include "dtls13/record_cipher.h"
#include "dtls13/records.h"
#include "dtls13_record_pair.h"

using namespace mcbn;
using namespace mcbn::dtls13;
using wire::fromHex;
using wire::Noise;
using wire::text;

TEST_CASE(
    "dtls13 record bytes: the masks of RFC 9001 appendix A, which has the same construction") {
  struct Vector {
    const Suite& suite;
    const char *key, *sample, *mask;
  };
  const Vector vectors[] = {
      {suite::kAes128Gcm, "9f50449e04a0e810283a1e9933adedd2", "d1b1c98dd7689fb8ec11d242b123dc9b",
       "437b"},
      {suite::kChaCha20Poly1305, "25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4",
       "5e5cd55c41f69080575d7999c25a5bfb", "aefe"},
  };
  for (const Vector& vector : vectors) {
    TrafficKeys keys{Secret(Bytes(vector.suite.key, 1)), Secret(Bytes(12, 1)),
                     Secret(fromHex(vector.key))};
    RecordCipher cipher(vector.suite, RecordCipher::Direction::Seal, std::move(keys));
    Bytes sample = fromHex(vector.sample);
    // Alone, and among so many that they go in several calls: two bytes of number, zeros.
    std::vector<Bytes> headers(150, Bytes{0x2b, 0, 0});
    std::vector<CipherPiece> pieces;
    for (Bytes& header : headers) pieces.push_back({.header = header, .encrypted = sample});
    REQUIRE(cipher.maskNumbers(std::span(pieces).first(1)));
    REQUIRE(cipher.maskNumbers(std::span(pieces).subspan(1)));
    const Bytes expected = wire::joined({{0x2b}, fromHex(vector.mask)});
    CAPTURE(vector.suite.name);
    CHECK(std::ranges::all_of(headers, [&](const Bytes& header) { return header == expected; }));
  }
}

TEST_CASE("dtls13 record bytes: every suite seals what OpenSSL's primitives seal") {
  Noise noise(7);
  for (const Suite* const suite : kSuites) {
    CAPTURE(suite->name);
    for (const size_t id_bytes : {0, 1, 8, 255}) {
      const Bytes id = noise.bytes(id_bytes);
      Pair pair(*suite, id);
      Forger forger(*suite, pair.secret());
      for (uint64_t number = 0; number < 40; ++number) {
        const Bytes content = noise.bytes(noise.below(number % 4 == 0 ? 1500 : 70));
        const Bytes inner = wire::joined({content, {kData}});
        const size_t least = 16 - suite->tag;
        const size_t zeros = inner.size() < least ? least - inner.size() : 0;
        CHECK(pair.seal(content) == forger.record(number, inner, zeros, id));
      }
    }
  }
}

TEST_CASE("dtls13 record bytes: messages sealed together in place are those sealed one by one") {
  Noise noise(8);
  for (const Suite* const suite : kSuites) {
    CAPTURE(suite->name);
    const Bytes id = noise.bytes(6);
    Pair pair(*suite, id);
    Forger forger(*suite, pair.secret());
    forger.form.length = false;
    uint64_t number = 0;
    for (const size_t count : {1, 2, 63, 64, 65, 200}) {
      CAPTURE(count);
      std::vector<Bytes> rooms, contents;
      std::vector<MutableBytes> messages;
      const size_t before = pair.ours.before(3), behind = pair.ours.behind(3);
      for (size_t i = 0; i < count; ++i) {
        contents.push_back(noise.bytes(noise.below(i % 7 == 0 ? 1200 : 64)));
        rooms.push_back(wire::joined({Bytes(before), contents.back(), Bytes(behind)}));
      }
      for (size_t i = 0; i < count; ++i) {
        messages.push_back(MutableBytes(rooms[i]).subspan(before, contents[i].size()));
      }
      REQUIRE(pair.ours.seal(3, kData, messages) == count);
      for (size_t i = 0; i < count; ++i) {
        Bytes record = rooms[i];
        record.resize(pair.ours.sealedAlone(3, contents[i].size()));
        const Bytes inner = wire::joined({contents[i], {kData}});
        const size_t least = 16 - suite->tag;
        const size_t zeros = inner.size() < least ? least - inner.size() : 0;
        CHECK(record == forger.record(number++, inner, zeros, id));
        CHECK(pair.open(record) == contents[i]);
        if (i % 50 == 0) pair.ours.release();
        if (i % 50 == 9) pair.theirs.release();
      }
    }
  }
}

TEST_CASE(
    "dtls13 record bytes: every form of the header is read, with and without a connection ID") {
  for (const Suite* const suite : kSuites) {
    uint64_t number = 0;
    for (const size_t id_bytes : {0, 1, 20, 255}) {
      const Bytes id(id_bytes, 0xA5);
      Pair pair(*suite, id);
      Forger forger(*suite, pair.secret());
      for (const bool long_number : {false, true}) {
        for (const bool length : {false, true}) {
          forger.form = {.long_number = long_number, .length = length};
          CAPTURE(id_bytes);
          CAPTURE(long_number);
          CAPTURE(length);
          const Bytes record = forger.record(number++, text("some text\x17"), 0, id);
          CHECK(pair.open(record) == text("some text"));
          if (length) continue;
          // Without a length the record ends where the datagram does: what follows is its tag.
          Bytes more = forger.record(number, text("some text\x17"), 0, id);
          more.push_back(0);
          CHECK(!pair.open(more).has_value());
        }
      }
    }
  }
}

TEST_CASE(
    "dtls13 record bytes: a datagram with another connection ID, or without one, is dropped "
    "(section 4)") {
  const Bytes id = text("our id"), second = text("second");
  Pair pair(suite::kAes128Gcm, id);
  Forger forger(suite::kAes128Gcm, pair.secret());
  const auto arrive = [&](std::initializer_list<Bytes> records) {
    Bytes datagram = wire::joined(records);
    RecordTrain incoming{MutableBytes(datagram)};
    std::vector<Bytes> ids;
    while (const auto record = pair.theirs.next(incoming)) {
      ids.emplace_back(record->connection_id.begin(), record->connection_id.end());
    }
    return ids;
  };
  const auto with = [&](uint64_t number, const Bytes& own) {
    return forger.record(number, text("x\x17"), 0, own);
  };
  using Ids = std::vector<Bytes>;
  CHECK(arrive({with(0, {})}) == Ids{});
  CHECK(arrive({with(1, text("theirs"))}) == Ids{});
  CHECK(pair.theirs.dropped().of(DropReason::ConnectionId) == 2);
  // Behind a record with our ID one without is of the same association; one with another ends it.
  CHECK(arrive({with(2, id), with(3, {}), with(4, id)}) == Ids{id, {}, id});
  CHECK(arrive({with(5, id), with(6, text("theirs")), with(7, id)}) == Ids{id});
  CHECK(pair.theirs.dropped().of(DropReason::ConnectionId) == 3);
  // NewConnectionId: the old one and the new one until the old is given up (section 9).
  pair.theirs.setOwnIds({id, second});
  CHECK(arrive({with(8, second), with(9, id)}) == Ids{second, id});
  pair.theirs.setOwnIds({second});
  CHECK(arrive({with(10, id)}) == Ids{});
  // An end that gave none out takes none.
  pair.theirs.setOwnIds({});
  CHECK(arrive({with(11, id)}) == Ids{});
  CHECK(arrive({with(12, {})}) == Ids{{}});
}

TEST_CASE("dtls13 record bytes: the connection ID of a datagram is found before any key is") {
  const Bytes id = text("12345678");
  Pair pair(suite::kAes128Gcm, id);
  Bytes datagram;
  appendPlaintextRecord(content_type::kHandshake, 0, text("server hello"), datagram);
  const size_t plain = datagram.size();
  REQUIRE(pair.ours.seal(3, kData, text("x"), datagram));
  for (size_t length = 0; length <= datagram.size(); ++length) {
    const wire::Exact cut(ByteView(datagram).first(length));
    const auto found = dtls13::connectionIdOf(cut.view(), id.size());
    CHECK(found.has_value() == (length > plain + 1 + id.size()));
    if (found) CHECK(std::ranges::equal(*found, id));
  }
  CHECK(!dtls13::connectionIdOf(datagram, 0).has_value());
  Pair without(suite::kAes128Gcm);
  CHECK(!dtls13::connectionIdOf(without.seal(text("0123456789")), 8).has_value());
}

TEST_CASE("dtls13 record bytes: numbers of plaintext go on from where stateless answers ended") {
  Records records;
  Bytes datagram;
  records.skipPlaintext(5);
  records.skipPlaintext(2);
  CHECK(records.seal(0, content_type::kHandshake, text("hello"), datagram) == RecordNumber{0, 5});
  CHECK(datagram == wire::record(content_type::kHandshake, 0, 5, text("hello")));
  CHECK(records.sealedSize(0, 5) == datagram.size());
}
