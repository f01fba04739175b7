// Records that are protected together are protected as if each were the only one: the same bytes,
// the same messages, the same reasons for what was dropped, the same counters.
#include <doctest/doctest.h>

#include <algorithm>

#include "record/record_layer.h"
#include "wire.h"

using namespace mcbn;
using wire::Noise;

namespace {

constexpr const AeadSuite* kSuites[] = {
    &aead::kAes128Gcm,  &aead::kAes256Gcm,  &aead::kAes128Ccm,       &aead::kAes256Ccm,
    &aead::kAes128Ccm8, &aead::kAes256Ccm8, &aead::kChaCha20Poly1305};
constexpr uint8_t kData = content_type::kApplicationData;

RecordKeys keysOf(const AeadSuite& suite, uint8_t write, uint8_t read) {
  const Bytes a(suite.key, write), b(suite.key, read);
  return {Secret(a), Secret(b), Bytes(suite.fixed_iv, write), Bytes(suite.fixed_iv, read)};
}

RecordLayer sender(const AeadSuite& suite, const Bytes& id) {
  return {suite, 1, keysOf(suite, 1, 2), 1, 0, nullptr, ReplayWindow::kDefault, {{}, id}};
}

RecordLayer receiver(const AeadSuite& suite, const Bytes& id, size_t window) {
  return {suite, 1, keysOf(suite, 2, 1), 1, 0, nullptr, window, {id, {}}};
}

Bytes sealedAlone(RecordLayer& layer, const Bytes& message) {
  Bytes record(layer.sealedSize(message.size()));
  REQUIRE(layer.seal(kData, message, record.data()));
  return record;
}

// Messages with the room around them that a frame has.
struct Frame {
  explicit Frame(const std::vector<Bytes>& messages, size_t before, size_t behind) {
    for (const Bytes& message : messages) {
      places.emplace_back(before + message.size() + behind);
      std::ranges::copy(message, places.back().begin() + static_cast<ptrdiff_t>(before));
    }
    for (size_t i = 0; i < messages.size(); ++i) {
      views.push_back(MutableBytes(places[i]).subspan(before, messages[i].size()));
    }
  }
  std::vector<Bytes> places;
  std::vector<MutableBytes> views;
};

// What became of a record.
struct Outcome {
  DropReason reason;
  Bytes content;
  uint8_t type;
  bool newest;
  uint64_t forgeries;
  bool operator==(const Outcome&) const = default;
};

Outcome outcomeOf(const RecordLayer& layer, std::optional<size_t> length, const uint8_t* place) {
  Outcome made{layer.dropReason(), {}, layer.contentType(), layer.newest(), layer.forgeries()};
  if (!length) return made;
  const uint8_t* const content = place + layer.contentOffset();
  made.content.assign(content, content + *length);
  return made;
}

// Of a record with its explicit nonce and tag.
size_t suiteOverhead(const RecordLayer& layer) {
  return layer.sealedSize(0) - kDtlsRecordHeaderBytes;
}

std::vector<Outcome> oneByOne(RecordLayer& layer, std::vector<Bytes> train, size_t id) {
  std::vector<Outcome> out;
  for (Bytes& datagram : train) {
    ByteView rest(datagram);
    while (const auto record = nextRecord(rest, id)) {
      auto* const place = const_cast<uint8_t*>(record->fragment.data());
      out.push_back(outcomeOf(layer, layer.open(*record, place), place));
    }
  }
  return out;
}

std::vector<Outcome> together(RecordLayer& layer, std::vector<Bytes> train, size_t id) {
  std::vector<IncomingRecord> incoming;
  for (Bytes& datagram : train) {
    ByteView rest(datagram);
    while (const auto record = nextRecord(rest, id)) {
      incoming.push_back({*record, const_cast<uint8_t*>(record->fragment.data())});
    }
  }
  layer.decrypt(incoming);
  std::vector<Outcome> out;
  for (const IncomingRecord& each : incoming) {
    out.push_back(outcomeOf(layer, layer.admit(each), each.place));
    if (each.authentic || out.back().reason != DropReason::BadMac) continue;
    // Nothing that could be read is left of what was made up.
    const size_t text = each.record.fragment.size() - suiteOverhead(layer);
    const uint8_t* const begin = each.place + layer.contentOffset();
    REQUIRE(std::all_of(begin, begin + text, [](uint8_t byte) { return byte == 0; }));
  }
  return out;
}

// Records of the sender's, some again, late, from far ahead, or changed on their way.
std::vector<Bytes> trainOf(Noise& noise, RecordLayer& from, std::vector<Bytes>& sent) {
  std::vector<Bytes> train;
  for (size_t count = 1 + noise.below(130); count > 0; --count) {
    sent.push_back(
        sealedAlone(from, noise.bytes(noise.below(8) == 0 ? noise.below(1'300) : noise.below(80))));
    if (noise.below(10) == 0) continue;  // comes later, or never
    Bytes datagram = noise.below(6) == 0 ? sent[noise.below(sent.size())] : sent.back();
    switch (noise.below(12)) {
      case 0:  // a bit: header, text or tag
        datagram[noise.below(datagram.size())] ^= static_cast<uint8_t>(1 << noise.below(8));
        break;
      case 1: {  // a number that nobody has sent yet
        datagram[9] = static_cast<uint8_t>(noise.below(256));
        break;
      }
      case 2: {  // two records in one datagram
        const Bytes& other = sent[noise.below(sent.size())];
        datagram.insert(datagram.end(), other.begin(), other.end());
        break;
      }
      default:
        break;
    }
    train.push_back(std::move(datagram));
  }
  return train;
}

}  // namespace

TEST_CASE("a train: every record meets the fate that it would have met alone") {
  for (const AeadSuite* suite : kSuites) {
    for (const size_t id_bytes : {0, 8}) {
      for (const size_t window : {32, 64, 300}) {
        CAPTURE(suite->key);
        CAPTURE(id_bytes);
        Noise noise(static_cast<uint32_t>(window + id_bytes));
        const Bytes id = noise.bytes(id_bytes);
        RecordLayer from = sender(*suite, id);
        RecordLayer alone = receiver(*suite, id, window), train = receiver(*suite, id, window);
        std::vector<Bytes> sent;
        size_t delivered = 0, forged = 0, replayed = 0;
        for (unsigned round = 0; round < 12; ++round) {
          const auto datagrams = trainOf(noise, from, sent);
          const auto expected = oneByOne(alone, datagrams, id_bytes);
          REQUIRE(together(train, datagrams, id_bytes) == expected);
          for (const Outcome& outcome : expected) {
            delivered += outcome.reason == DropReason::None ? 1 : 0;
            forged += outcome.reason == DropReason::BadMac ? 1 : 0;
            replayed += outcome.reason == DropReason::Replayed ? 1 : 0;
          }
        }
        CHECK(delivered > 100);
        CHECK(forged > 3);
        CHECK(replayed > 10);
      }
    }
  }
}

TEST_CASE("a train: of a record that comes twice in it, the second is a replay") {
  for (const AeadSuite* suite : kSuites) {
    RecordLayer from = sender(*suite, {}), to = receiver(*suite, {}, 64);
    const Bytes record = sealedAlone(from, wire::text("once"));
    const auto outcomes = together(to, {record, record, record}, 0);
    REQUIRE(outcomes.size() == 3);
    CHECK(outcomes[0].reason == DropReason::None);
    CHECK(outcomes[1].reason == DropReason::Replayed);
    CHECK(outcomes[2].reason == DropReason::Replayed);
    CHECK(outcomes[2].forgeries == 0);
  }
}

TEST_CASE("messages sealed together are the records that they are one by one") {
  for (const AeadSuite* suite : kSuites) {
    for (const size_t id_bytes : {0, 1, 8}) {
      Noise noise(static_cast<uint32_t>(id_bytes));
      const Bytes id = noise.bytes(id_bytes);
      RecordLayer alone = sender(*suite, id), together = sender(*suite, id);
      for (const size_t count : {1, 2, 3, 31, 32, 33, 64, 65, 128}) {
        std::vector<Bytes> messages;
        for (size_t i = 0; i < count; ++i) messages.push_back(noise.bytes(noise.below(200)));
        Frame frame(messages, together.before(), together.behind());
        REQUIRE(together.seal(kData, frame.views) == count);
        for (size_t i = 0; i < count; ++i) {
          REQUIRE(frame.places[i] == sealedAlone(alone, messages[i]));
        }
      }
    }
  }
}

TEST_CASE("messages sealed together: the record that uses the keys up is the last one") {
  for (const AeadSuite* suite : kSuites) {
    AeadSuite tiny = *suite;
    tiny.blocks = 100;  // 10 bytes are three
    RecordLayer layer = sender(tiny, {});
    const std::vector<Bytes> messages(200, Bytes(10, 7));
    Frame frame(messages, layer.before(), layer.behind());
    CHECK(layer.seal(kData, frame.views) == 34);
    CHECK(layer.exhausted());
    // The others are as they were: no number was spent on them.
    CHECK(std::ranges::equal(frame.views[34], messages[34]));
  }
  RecordLayer last(aead::kAes128Ccm8, 1, keysOf(aead::kAes128Ccm8, 1, 2), (uint64_t{1} << 48) - 20,
                   0, nullptr);
  const std::vector<Bytes> messages(40, Bytes(10, 7));
  Frame frame(messages, last.before(), last.behind());
  CHECK(last.seal(kData, frame.views) == 3);
  CHECK(last.exhausted());
}
