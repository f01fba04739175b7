// Records of DTLS 1.3 that are read together meet the fate that each would have met alone: the same
// messages, the same reasons for what was dropped, the same counters, whatever strangers mix in.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>

#include "dtls13_record_pair.h"

using namespace mcbn;
using namespace mcbn::dtls13;
using wire::Noise;
using wire::text;

namespace {

// What became of a record that was let through.
struct Outcome {
  RecordNumber number;
  uint8_t type;
  Bytes content, id;
  bool newest;
  KeyWear wear;

  bool operator==(const Outcome&) const = default;
};

struct Fate {
  std::vector<Outcome> through;
  std::vector<uint64_t> dropped;
  KeyWear wear;

  bool operator==(const Fate&) const = default;
};

// After each record: what the session does with it may change the keys.
using Act = std::function<void(Records&, const OpenedRecord&)>;

void takeAll(Records& records, RecordTrain& train, const Act& act, Fate& fate) {
  while (const auto record = records.next(train)) {
    fate.through.push_back({record->number,
                            record->type,
                            {record->content.begin(), record->content.end()},
                            {record->connection_id.begin(), record->connection_id.end()},
                            record->newest,
                            records.readWear(3)});
    if (act) act(records, *record);
  }
}

Fate finish(const Records& records, Fate fate) {
  for (size_t i = 0; i < kDropReasons; ++i) {
    fate.dropped.push_back(records.dropped().of(static_cast<DropReason>(i)));
  }
  fate.wear = records.readWear(3);
  return fate;
}

Fate oneByOne(Records& records, std::vector<Bytes> datagrams, const Act& act = {}) {
  Fate fate{};
  for (Bytes& datagram : datagrams) {
    RecordTrain alone{MutableBytes(datagram)};
    takeAll(records, alone, act, fate);
  }
  return finish(records, std::move(fate));
}

Fate together(Records& records, std::vector<Bytes>& datagrams, const Act& act = {}) {
  const std::vector<MutableBytes> views(datagrams.begin(), datagrams.end());
  RecordTrain train{std::span<const MutableBytes>(views)};
  Fate fate{};
  takeAll(records, train, act, fate);
  return finish(records, std::move(fate));
}

bool zeros(ByteView bytes) {
  return std::ranges::all_of(bytes, [](uint8_t byte) { return byte == 0; });
}

// One receiver for each way of reading; both have the keys of epochs 2 and 3.
struct Receivers {
  Receivers(const Suite& suite, const Bytes& id, size_t window) : alone(window), train(window) {
    for (Records* const records : {&alone, &train}) {
      REQUIRE(records->startReading(2, suite, Secret(Bytes(hashBytes(suite.hash), 2))));
      REQUIRE(records->startReading(3, suite, Secret(Bytes(hashBytes(suite.hash), 3))));
      if (!id.empty()) records->setOwnIds({id});
    }
  }
  Records alone, train;
};

// The peer's records, one a datagram, in every form, some again, late, from far ahead, of another epoch
// or damaged on their way.
class Traffic {
 public:
  Traffic(const Suite& suite, Bytes id, uint32_t seed)
      : noise(seed),
        id_(std::move(id)),
        old_(suite, Secret(Bytes(hashBytes(suite.hash), 2))),
        now_(suite, Secret(Bytes(hashBytes(suite.hash), 3))) {}

  std::vector<Bytes> train() {
    std::vector<Bytes> datagrams;
    for (size_t count = 1 + noise.below(140); count > 0; --count) datagrams.push_back(next());
    return datagrams;
  }

  Noise noise;

 private:
  Bytes next() {
    now_.form = {.long_number = noise.below(3) != 0, .length = noise.below(2) == 0};
    // Behind what 8 bits can tell, and behind what 16 can.
    number_ += noise.below(20) == 0 ? noise.below(now_.form.long_number ? 30'000 : 100) : 1;
    sent_.push_back(sealed(now_, number_));
    switch (noise.below(16)) {
      case 0:
        return sent_[noise.below(sent_.size())];
      case 1:
        return damaged(sent_.back());
      case 2: {  // made up, as far ahead as its number can say
        Bytes made = sealed(now_, number_ + noise.below(70'000));
        made.back() ^= 1;
        return made;
      }
      case 3:
        return sealed(old_, old_number_++);
      case 4: {  // in the clear
        Bytes clear;
        appendPlaintextRecord(content_type::kAck, noise.below(9), noise.bytes(5), clear);
        clear[4] = static_cast<uint8_t>(noise.below(2));  // epoch
        return clear;
      }
      case 5: {  // of no epoch that lives, or cut
        Bytes other = sent_.back();
        if (noise.below(2) == 0) other[0] ^= 2;
        other.resize(noise.below(other.size() + 1));
        return other;
      }
      default:
        return sent_.back();
    }
  }
  Bytes sealed(Forger& forger, uint64_t number) {
    Bytes inner = noise.bytes(noise.below(8) == 0 ? noise.below(1'300) : noise.below(80));
    inner.push_back(noise.below(9) == 0 ? content_type::kAck : kData);
    return forger.record(number, inner, inner.size() < 8 || noise.below(5) == 0 ? 9 : 0, id_);
  }
  Bytes damaged(Bytes record) {
    record[noise.below(record.size())] ^= static_cast<uint8_t>(1 << noise.below(8));
    return record;
  }

  Bytes id_;
  Forger old_, now_;
  uint64_t number_ = 0, old_number_ = 0;
  std::vector<Bytes> sent_;
};

}  // namespace

TEST_CASE("dtls13 train: every record meets the fate that it would have met alone (section 4.5)") {
  for (const Suite* const suite : kSuites) {
    for (const size_t id_bytes : {0, 1, 8}) {
      for (const size_t window : {32, 64, 300}) {
        CAPTURE(suite->name);
        CAPTURE(id_bytes);
        CAPTURE(window);
        Receivers receivers(*suite, Bytes(id_bytes, 0x5E), window);
        Traffic traffic(*suite, Bytes(id_bytes, 0x5E), static_cast<uint32_t>(window + id_bytes));
        size_t through = 0;
        Fate last{};
        for (unsigned round = 0; round < 12; ++round) {
          auto datagrams = traffic.train();
          last = oneByOne(receivers.alone, datagrams);
          REQUIRE(together(receivers.train, datagrams) == last);
          through += last.through.size();
        }
        const auto dropped = [&](DropReason reason) {
          return last.dropped[static_cast<size_t>(reason)];
        };
        // With CCM_8 the keys are used up by then.
        CHECK(through > (suite->forgeries > 1'000 ? 300 : 50));
        CHECK(dropped(DropReason::BadMac) > 30);
        CHECK(dropped(DropReason::Replayed) > 3);
        CHECK(dropped(DropReason::WrongEpoch) > 3);
      }
    }
  }
}

TEST_CASE("dtls13 train: forgeries between two records harm neither, and nothing of them is left") {
  for (const Suite* const suite : kSuites) {
    for (const size_t id_bytes : {0, 8}) {
      CAPTURE(suite->name);
      Noise noise(11);
      const Bytes id(id_bytes, 0x5E);
      Receivers receivers(*suite, id, 64);
      Forger forger(*suite, Secret(Bytes(hashBytes(suite->hash), 3)));
      forger.form.length = false;
      std::vector<Bytes> datagrams;
      std::vector<size_t> forged;
      for (uint64_t number = 0; number < 120; ++number) {
        Bytes inner = noise.bytes(40 + noise.below(100));
        inner.push_back(kData);
        // Each as far ahead as can be told: two of them, if believed, would hide the next number.
        const bool lies = number % 3 != 0;
        datagrams.push_back(forger.record(number + (lies ? 32'000 : 0), inner, 0, id));
        if (!lies) continue;
        datagrams.back()[datagrams.back().size() - 1 - noise.below(40)] ^= 4;
        forged.push_back(datagrams.size() - 1);
      }
      const Fate expected = oneByOne(receivers.alone, datagrams);
      REQUIRE(together(receivers.train, datagrams) == expected);
      REQUIRE(expected.through.size() == 40);
      for (size_t i = 0; i < 40; ++i) CHECK(expected.through[i].number.sequence == 3 * i);
      CHECK(expected.dropped[static_cast<size_t>(DropReason::BadMac)] == forged.size());
      for (const size_t index : forged) {
        CHECK(zeros(MutableBytes(datagrams[index]).subspan(1 + id.size() + 2)));
      }
    }
  }
}

TEST_CASE("dtls13 train: the record that uses the forgeries up is the last (section 4.5.3)") {
  const Suite& suite = suite::kAes128Ccm8;
  Receivers receivers(suite, {}, 64);
  Forger forger(suite, Secret(Bytes(hashBytes(suite.hash), 3)));
  std::vector<Bytes> datagrams;
  for (uint64_t number = 0; number < suite.forgeries + 20; ++number) {
    datagrams.push_back(forger.record(2 * number, text("forged \x17"), 4));
    datagrams.back().back() ^= 1;
    datagrams.push_back(forger.record(2 * number + 1, text("true\x17"), 4));
  }
  const Fate expected = oneByOne(receivers.alone, datagrams);
  REQUIRE(together(receivers.train, datagrams) == expected);
  CHECK(expected.through.size() == suite.forgeries - 1);
  CHECK(expected.wear == KeyWear::Spent);
}

TEST_CASE("dtls13 train: records behind one that brings keys, or takes them away, find it so") {
  const Suite& suite = suite::kAes128Gcm;
  const auto secret = [](uint8_t fill) { return Secret(Bytes(32, fill)); };
  Records sender;
  REQUIRE(sender.startWriting(3, suite, secret(3)));
  REQUIRE(sender.startWriting(4, suite, secret(4)));
  std::vector<Bytes> datagrams;
  const auto add = [&](uint64_t epoch, std::string_view content) {
    REQUIRE(sender.seal(epoch, kData, text(content), datagrams.emplace_back()));
  };
  add(4, "early");
  add(3, "first");
  add(3, "brings");
  add(3, "behind");
  add(4, "new");
  add(3, "takes");
  add(3, "too late");
  add(4, "last");
  const Act act = [&](Records& records, const OpenedRecord& record) {
    const Bytes content(record.content.begin(), record.content.end());
    if (content == text("brings")) REQUIRE(records.startReading(4, suite, secret(4)));
    if (content == text("takes")) records.stopReading(3);
  };
  Receivers receivers(suite, {}, 64);
  const Fate expected = oneByOne(receivers.alone, datagrams, act);
  REQUIRE(together(receivers.train, datagrams, act) == expected);
  std::vector<Bytes> through;
  for (const Outcome& outcome : expected.through) through.push_back(outcome.content);
  CHECK(through == std::vector<Bytes>{text("first"), text("brings"), text("behind"), text("new"),
                                      text("takes"), text("last")});
  CHECK(expected.dropped[static_cast<size_t>(DropReason::WrongEpoch)] == 2);
}

TEST_CASE("dtls13 train: records are found again after more were lost than a number's bits tell") {
  for (const Suite* const suite : kSuites) {
    CAPTURE(suite->name);
    if (suite == &suite::kAes128Ccm8) continue;  // so many in vain use its keys up
    for (const uint64_t lost : {32'700, 32'800, 70'000, 200'000, 3'000'000}) {
      CAPTURE(lost);
      Receivers receivers(*suite, {}, 64);
      Forger forger(*suite, Secret(Bytes(hashBytes(suite->hash), 3)));
      uint64_t number = 0;
      const auto train = [&](size_t count) {
        std::vector<Bytes> datagrams;
        for (; count > 0; --count) datagrams.push_back(forger.record(number++, text("x\x17"), 0));
        return datagrams;
      };
      auto first = train(3);
      CHECK(together(receivers.train, first).through.size() == 3);
      number += lost;
      size_t trains = 0, through = 0;
      for (; through == 0 && trains < 100; ++trains) {
        auto datagrams = train(32);
        through = together(receivers.train, datagrams).through.size();
      }
      CHECK(trains <= (lost < 32'768 ? 1 : 8 + 64));
      CHECK(through == 32);
    }
  }
}

TEST_CASE(
    "dtls13 train: however many forgeries come, the next record of the peer's is let through") {
  const Suite& suite = suite::kAes128Gcm;
  Receivers receivers(suite, {}, 64);
  Forger forger(suite, Secret(Bytes(hashBytes(suite.hash), 3)));
  for (uint64_t number = 0; number < 10; ++number) {
    std::vector<Bytes> datagrams;
    for (uint64_t i = 0; i < 500; ++i) {
      datagrams.push_back(forger.record(number + 131 * i, text("forged\x17"), 0));
      datagrams.back().back() ^= 1;
    }
    datagrams.push_back(forger.record(number, text("true\x17"), 0));
    const Fate expected = oneByOne(receivers.alone, datagrams);
    REQUIRE(together(receivers.train, datagrams) == expected);
    CHECK(expected.through.size() == 1);
  }
}
