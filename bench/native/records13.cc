// Nanoseconds per record of DTLS 1.2 and 1.3, trains of 32: sealed in place, and opened.
//   cmake --build <dir> --target bench_records13 && <dir>/bench_records13
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "dtls13/records.h"
#include "record/record_layer.h"

using namespace mcbn;

namespace {

constexpr size_t kTrain = 32, kTrains = 64;
constexpr uint8_t kData = content_type::kApplicationData;
constexpr size_t kRoom = 64;  // around each message

struct Times {
  double seal = 1e12, open = 1e12;
};

// Trains are sealed first and opened afterwards, so that each is timed alone.
template <typename Seal, typename Open>
Times measure(size_t length, Seal seal, Open open) {
  using Clock = std::chrono::steady_clock;
  const auto perRecord = [](Clock::duration taken) {
    return std::chrono::duration<double, std::nano>(taken).count() / (kTrain * kTrains);
  };
  std::vector<Bytes> rooms(kTrain * kTrains, Bytes(length + 2 * kRoom));
  Times best;
  for (int run = 0; run < 15; ++run) {
    std::vector<MutableBytes> messages;
    for (Bytes& room : rooms) messages.push_back(MutableBytes(room).subspan(kRoom, length));
    const std::span<const MutableBytes> all(messages);
    const auto start = Clock::now();
    for (size_t i = 0; i < kTrains; ++i) seal(all.subspan(i * kTrain, kTrain));
    const auto sealed = Clock::now();
    for (size_t i = 0; i < kTrains; ++i) open(all.subspan(i * kTrain, kTrain));
    best.seal = std::min(best.seal, perRecord(sealed - start));
    best.open = std::min(best.open, perRecord(Clock::now() - sealed));
  }
  return best;
}

void check(bool works) {
  if (!works) std::abort();
}

Times older(const AeadSuite& suite, size_t length) {
  const auto keys = [&](uint8_t write, uint8_t read) {
    return RecordKeys{Secret(Bytes(suite.key, write)), Secret(Bytes(suite.key, read)),
                      Bytes(suite.fixed_iv, write), Bytes(suite.fixed_iv, read)};
  };
  RecordLayer ours(suite, 1, keys(1, 2), 1, 0, nullptr);
  RecordLayer theirs(suite, 1, keys(2, 1), 1, 0, nullptr);
  return measure(
      length,
      [&](std::span<const MutableBytes> messages) {
        check(ours.seal(kData, messages) == messages.size());
      },
      [&](std::span<const MutableBytes> messages) {
        std::vector<IncomingRecord> train;
        for (const MutableBytes message : messages) {
          ByteView datagram(message.data() - ours.before(), ours.sealedSize(message.size()));
          const auto record = nextRecord(datagram);
          train.push_back({*record, const_cast<uint8_t*>(record->fragment.data())});
        }
        theirs.decrypt(train);
        for (const IncomingRecord& record : train) check(theirs.admit(record).has_value());
      });
}

Times newer(const dtls13::Suite& suite, size_t length) {
  const Secret secret(Bytes(hashBytes(suite.hash), 1));
  dtls13::Records ours, theirs;
  check(ours.startWriting(3, suite, secret) && theirs.startReading(3, suite, secret));
  return measure(
      length,
      [&](std::span<const MutableBytes> messages) {
        check(ours.seal(3, kData, messages) == messages.size());
      },
      [&](std::span<const MutableBytes> messages) {
        std::vector<MutableBytes> datagrams;
        for (const MutableBytes message : messages) {
          datagrams.emplace_back(message.data() - ours.before(3),
                                 ours.sealedAlone(3, message.size()));
        }
        dtls13::RecordTrain train{std::span<const MutableBytes>(datagrams)};
        for (size_t i = 0; i < messages.size(); ++i) check(theirs.next(train).has_value());
      });
}

}  // namespace

int main() {
  struct Row {
    const char* name;
    const AeadSuite& older;
    const dtls13::Suite& newer;
  };
  const Row rows[] = {
      {"AES-128-GCM", aead::kAes128Gcm, dtls13::suite::kAes128Gcm},
      {"AES-128-CCM", aead::kAes128Ccm, dtls13::suite::kAes128Ccm},
      {"ChaCha20-Poly1305", aead::kChaCha20Poly1305, dtls13::suite::kChaCha20Poly1305},
  };
  std::printf("%-18s %6s %12s %12s %12s %12s\n", "", "bytes", "seal 1.2", "seal 1.3", "open 1.2",
              "open 1.3");
  for (const Row& row : rows) {
    for (const size_t length : {64, 1'200}) {
      const Times before = older(row.older, length), now = newer(row.newer, length);
      std::printf("%-18s %6zu %12.0f %12.0f %12.0f %12.0f\n", row.name, length, before.seal,
                  now.seal, before.open, now.open);
    }
  }
}
