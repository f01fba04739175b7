// The records of DTLS 1.3 against themselves: every suite, every form of the header.
#include "dtls13/records.h"

#include <doctest/doctest.h>

#include "record/dtls_record.h"
#include "wire.h"

using namespace mcbn;
using namespace mcbn::dtls13;
using wire::Noise;

namespace {

constexpr uint8_t kData = content_type::kApplicationData;

Secret secretOf(const Suite& suite, uint8_t fill) {
  return Secret(Bytes(hashBytes(suite.hash), fill));
}

// Two ends, epoch 3 each way.
struct Pair {
  explicit Pair(const Suite& suite) {
    REQUIRE(ours.startWriting(3, suite, secretOf(suite, 1)));
    REQUIRE(theirs.startReading(3, suite, secretOf(suite, 1)));
  }
  Bytes seal(ByteView content, uint8_t type = kData) {
    Bytes datagram;
    REQUIRE(ours.seal(3, type, content, datagram).has_value());
    return datagram;
  }
  std::optional<Bytes> open(Bytes datagram) {
    IncomingDatagram incoming{MutableBytes(datagram)};
    const auto record = theirs.next(incoming);
    if (!record) return std::nullopt;
    return Bytes(record->content.begin(), record->content.end());
  }

  Records ours, theirs;
};

}  // namespace

TEST_CASE("dtls13 records: carry content of every length with every suite") {
  Noise noise(1);
  for (const Suite* const suite : kSuites) {
    CAPTURE(suite->name);
    Pair pair(*suite);
    for (const size_t length : {0, 1, 7, 15, 16, 17, 64, 1200, 16384}) {
      CAPTURE(length);
      const Bytes content = noise.bytes(length);
      const Bytes datagram = pair.seal(content);
      CHECK(datagram.size() == pair.ours.sealedSize(3, length));
      CHECK(pair.open(datagram) == content);
    }
  }
}
