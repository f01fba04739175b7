// Records with a connection ID (RFC 9146): against vectors made with node:crypto, against
// themselves, and between OpenSSL's format and theirs.
#include "record/connection_id.h"

#include <doctest/doctest.h>

#include <string_view>

#include "record/handshake_reframing.h"
#include "record/path_message.h"
#include "record/record_layer.h"
#include "wire.h"

using namespace mcbn;
using wire::fromHex;
using wire::Noise;

namespace {

const AeadSuite* const kSuites[] = {&aead::kAes128Gcm,       &aead::kAes256Gcm,  &aead::kAes128Ccm,
                                    &aead::kAes256Ccm,       &aead::kAes128Ccm8, &aead::kAes256Ccm8,
                                    &aead::kChaCha20Poly1305};
constexpr uint8_t kData = content_type::kApplicationData;

RecordKeys keysOf(const AeadSuite& suite, uint8_t write, uint8_t read) {
  const Bytes a(suite.key, write), b(suite.key, read);
  return {Secret(a), Secret(b), Bytes(suite.fixed_iv, write), Bytes(suite.fixed_iv, read)};
}

// `ours` sends with `to_peer`, `theirs` expects it; and the other way round.
struct Pair {
  Pair(const AeadSuite& suite, const Bytes& to_peer, const Bytes& to_us = {},
       CipherContexts* contexts = nullptr)
      : ours(suite, 1, keysOf(suite, 1, 2), 1, 0, contexts, 64, {to_us, to_peer}),
        theirs(suite, 1, keysOf(suite, 2, 1), 1, 0, contexts, 64, {to_peer, to_us}) {}

  Bytes seal(const Bytes& message, uint8_t type = kData) {
    Bytes record(ours.sealedSize(message.size()));
    REQUIRE(ours.seal(type, message, record.data()));
    return record;
  }
  std::optional<Bytes> open(const Bytes& datagram) {
    ByteView rest(datagram);
    const auto record = nextRecord(rest, theirs.ownConnectionId().size());
    if (!record) return std::nullopt;
    Bytes place(record->fragment.size());
    const auto length = theirs.open(*record, place.data());
    if (!length) return std::nullopt;
    const auto begin = place.begin() + static_cast<ptrdiff_t>(theirs.contentOffset());
    return Bytes(begin, begin + static_cast<ptrdiff_t>(*length));
  }

  RecordLayer ours, theirs;
};

DtlsRecord parsed(const Bytes& bytes, size_t id_length) {
  ByteView rest(bytes);
  const auto record = nextRecord(rest, id_length);
  REQUIRE(record.has_value());
  REQUIRE(rest.empty());
  return *record;
}

}  // namespace

TEST_CASE("connection ID: records are those of an independent calculation (RFC 9146 section 5.3)") {
  // Keys of bytes 1, number 7 of epoch 1, ID a1b2c3, content "hello".
  const std::pair<const AeadSuite*, const char*> vectors[] = {
      {&aead::kAes128Gcm,
       "19fefd0001000000000007a1b2c3001e00010000000000072bd6b7f693633598f699dfcbd6377c25db159b50e7"
       "71"},
      {&aead::kAes256Ccm,
       "19fefd0001000000000007a1b2c3001e00010000000000079e3da7beae337b2f57f060a7aba496e4cfed7c66a6"
       "fa"},
      {&aead::kAes128Ccm8,
       "19fefd0001000000000007a1b2c30016000100000000000783e3f68abe1400499d61c988b957"},
      {&aead::kChaCha20Poly1305,
       "19fefd0001000000000007a1b2c300163af6038f83c895be7aeb11e20504e27f5f8c12ca496c"},
  };
  const Bytes id{0xa1, 0xb2, 0xc3};
  for (const auto& [suite, record_in_hex] : vectors) {
    const char* const hex = record_in_hex;
    CAPTURE(hex);
    RecordLayer sender(*suite, 1, keysOf(*suite, 1, 2), 7, 0, nullptr, 64, {{}, id});
    Bytes record(sender.sealedSize(5));
    REQUIRE(sender.seal(kData, wire::text("hello"), record.data()));
    CHECK(record == fromHex(hex));
    Pair receiver(*suite, id);
    CHECK(receiver.open(fromHex(hex)) == wire::text("hello"));
    CHECK(receiver.theirs.contentType() == kData);
  }
}

TEST_CASE("connection ID: carries messages of every length and type with IDs of every length") {
  Noise noise(1);
  for (const AeadSuite* suite : kSuites) {
    for (const size_t id_length : {1, 8, 32, 255}) {
      CAPTURE(id_length);
      CipherContexts contexts(1);  // each use evicts the other direction's
      Pair pair(*suite, noise.bytes(id_length), {}, &contexts);
      for (const size_t length : {0, 1, 15, 16, 17, 1200, 16383}) {
        for (const uint8_t type : {kData, content_type::kAlert, content_type::kHandshake}) {
          const Bytes message = noise.bytes(length);
          const Bytes record = pair.seal(message, type);
          CHECK(record[0] == content_type::kTls12Cid);
          CHECK(record.size() ==
                kDtlsRecordHeaderBytes + id_length + suite->overhead() + length + 1);
          CHECK(pair.open(record) == message);
          CHECK(pair.theirs.contentType() == type);
          CHECK(pair.theirs.newest());
        }
      }
    }
  }
}

TEST_CASE("connection ID: drops what was altered, anywhere, and what has no ID or another") {
  for (const AeadSuite* suite : kSuites) {
    Pair pair(*suite, Bytes(8, 0xcc));
    for (int i = 0; i < 4; ++i) pair.seal({});
    const Bytes record = pair.seal(wire::text("a message"));
    for (size_t at = 0; at < record.size(); ++at) {
      CAPTURE(at);
      if (at == 19 || at == 20) continue;  // the length: framing
      Bytes altered = record;
      altered[at] ^= 0x01;
      CHECK(!pair.open(altered).has_value());
      if (at >= 11 && at < 19) CHECK(pair.theirs.dropReason() == DropReason::ConnectionId);
      if (at > 20) CHECK(pair.theirs.dropReason() == DropReason::BadMac);
    }
    CHECK(pair.open(record) == wire::text("a message"));
    // The same keys without an ID: the two formats never open each other's records.
    Pair plain(*suite, {});
    CHECK(!pair.open(plain.seal(wire::text("plain"))).has_value());
    CHECK(pair.theirs.dropReason() == DropReason::ConnectionId);
    ByteView rest(record);
    const auto framed = nextRecord(rest, 8);
    Bytes place(record.size());
    CHECK(!plain.theirs.open(*framed, place.data()).has_value());
    CHECK(plain.theirs.dropReason() == DropReason::ConnectionId);
  }
}

TEST_CASE("connection ID: says which records are newer than all before") {
  Pair pair(aead::kAes128Gcm, Bytes(4, 1));
  const Bytes first = pair.seal(wire::text("1")), second = pair.seal(wire::text("2")),
              third = pair.seal(wire::text("3"));
  CHECK(pair.open(second).has_value());
  CHECK(pair.theirs.newest());
  CHECK(pair.open(first).has_value());
  CHECK(!pair.theirs.newest());
  CHECK(!pair.open(second).has_value());
  CHECK(pair.open(third).has_value());
  CHECK(pair.theirs.newest());
}

TEST_CASE("connection ID: finds type and content behind padding") {
  const auto length = [](const Bytes& inner) -> std::optional<std::pair<uint8_t, size_t>> {
    const auto found = innerContentOf(inner);
    if (!found) return std::nullopt;
    return std::pair(found->type, found->length);
  };
  CHECK(length({}) == std::nullopt);
  CHECK(length({0, 0, 0}) == std::nullopt);
  CHECK(length({23}) == std::pair<uint8_t, size_t>(23, 0));
  CHECK(length({1, 0, 23, 0, 0}) == std::pair<uint8_t, size_t>(23, 2));
}

TEST_CASE("connection ID: is found in a datagram only where there is room for it") {
  Pair pair(aead::kAes128Ccm8, Bytes(8, 0xab));
  const Bytes record = pair.seal(wire::text("x"));
  const auto id = connectionIdOf(record, 8);
  REQUIRE(id.has_value());
  CHECK(Bytes(id->begin(), id->end()) == Bytes(8, 0xab));
  CHECK(!connectionIdOf(record, 0).has_value());
  CHECK(!connectionIdOf(ByteView(record).first(20), 8).has_value());
  CHECK(!connectionIdOf({}, 8).has_value());
  Bytes other = record;
  other[0] = kData;
  CHECK(!connectionIdOf(other, 8).has_value());
}

TEST_CASE("connection ID: a handshake's records go between OpenSSL's format and that with an ID") {
  for (const AeadSuite* suite : kSuites) {
    const Bytes ours(3, 0x11), peers(7, 0x22);
    // What OpenSSL on our side writes and reads, and what the peer does.
    RecordLayer openssl(*suite, 1, keysOf(*suite, 1, 2), 5, 0, nullptr);
    RecordLayer peer(*suite, 1, keysOf(*suite, 2, 1), 9, 0, nullptr, 64, {peers, ours});
    HandshakeReframing reframing(*suite, keysOf(*suite, 1, 2), {ours, peers});
    const Bytes finished = wire::text("a Finished message");

    Bytes written(openssl.sealedSize(finished.size()));
    REQUIRE(openssl.seal(content_type::kHandshake, finished, written.data()));
    const auto out = reframing.outgoing(parsed(written, 0));
    REQUIRE(out.has_value());
    const DtlsRecord sent = parsed(*out, peers.size());
    CHECK(sent.sequence == 5);
    Bytes place(out->size());
    CHECK(peer.open(sent, place.data()) == finished.size());
    CHECK(peer.contentType() == content_type::kHandshake);

    Bytes answer(peer.sealedSize(finished.size()));
    REQUIRE(peer.seal(content_type::kHandshake, finished, answer.data()));
    const auto in = reframing.incoming(parsed(answer, ours.size()));
    REQUIRE(in.has_value());
    CHECK(in->type == content_type::kHandshake);
    const DtlsRecord read = parsed(in->record, 0);
    CHECK(read.type == content_type::kHandshake);
    CHECK(read.sequence == 9);
    Bytes again(in->record.size());
    CHECK(openssl.open(read, again.data()) == finished.size());

    answer.back() ^= 1;
    CHECK(!reframing.incoming(parsed(answer, ours.size())).has_value());
    written.back() ^= 1;
    CHECK(!reframing.outgoing(parsed(written, 0)).has_value());
  }
}

TEST_CASE("path message: goes through bytes, unknown types and lengths are ignored (RFC 9853)") {
  const PathMessage message{PathMessageType::Response, {1, 2, 3, 4, 5, 6, 7, 8}};
  const auto bytes = message.bytes();
  CHECK(Bytes(bytes.begin(), bytes.end()) == Bytes{1, 1, 2, 3, 4, 5, 6, 7, 8});
  const auto back = parsePathMessage(bytes);
  REQUIRE(back.has_value());
  CHECK(back->type == PathMessageType::Response);
  CHECK(back->cookie == message.cookie);
  CHECK(!parsePathMessage(Bytes{3, 1, 2, 3, 4, 5, 6, 7, 8}).has_value());
  CHECK(!parsePathMessage(Bytes{0, 1, 2, 3, 4, 5, 6, 7}).has_value());
  CHECK(!parsePathMessage(Bytes{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}).has_value());
  CHECK(!parsePathMessage({}).has_value());
}
