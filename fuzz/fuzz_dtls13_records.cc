// Records of a DTLS 1.3 association as a stranger would write them: none encrypted is ever
// authentic, none is read beyond its end, none in the clear claims an epoch, and none keeps the
// peer's own records out. With the keys, any inner plaintext.
#include <cstdlib>
#include <memory>

#include "dtls13/records.h"
#include "record/dtls_record.h"

using namespace mcbn;
using namespace mcbn::dtls13;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

Secret secretOf(const Suite& suite, uint8_t fill) {
  return Secret(Bytes(hashBytes(suite.hash), fill));
}

// Exactly as large as it is: one byte more would be found.
struct Exact {
  explicit Exact(ByteView from) : size(from.size()), bytes(new uint8_t[from.size()]) {
    std::copy(from.begin(), from.end(), bytes.get());
  }
  MutableBytes view() const { return {bytes.get(), size}; }

  size_t size;
  std::unique_ptr<uint8_t[]> bytes;
};

void lookAt(const OpenedRecord& record, MutableBytes datagram) {
  require(record.content.data() >= datagram.data());
  require(record.content.data() + record.content.size() <= datagram.data() + datagram.size());
}

// Whatever comes: nothing in it was made with the keys.
void strangers(Records& ours, ByteView bytes) {
  const Exact datagram(bytes);
  RecordTrain incoming(datagram.view());
  size_t seen = 0;
  while (const auto record = ours.next(incoming)) {
    require(record->number.epoch == 0 && !record->newest);
    require(record->type == content_type::kHandshake || record->type == content_type::kAlert ||
            record->type == content_type::kAck);
    lookAt(*record, datagram.view());
    seen += kPlaintextHeaderBytes + record->content.size();
  }
  require(seen <= bytes.size());
}

// The peer is the stranger: content of its choice in records that are authentic.
void insiders(Records& peer, Records& ours, ByteView bytes) {
  Bytes made;
  const uint8_t type = bytes.empty() ? 0 : bytes[0];
  const auto number = peer.seal(3, type, bytes, made);
  require(number.has_value() && made.size() == peer.sealedSize(3, bytes.size()));
  const Exact datagram(made);
  RecordTrain incoming(datagram.view());
  const auto record = ours.next(incoming);
  if (type == 0) return;  // is padding: what lies before it is the type
  const bool known = (type >= 21 && type <= 23) || type == 26 || type == 27;
  require(record.has_value() == known);
  if (!record) return;
  lookAt(*record, datagram.view());
  require(record->number == *number && record->type == type);
  require(std::equal(bytes.begin(), bytes.end(), record->content.begin(), record->content.end()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  const Suite& suite = *kSuites[data[0] % std::size(kSuites)];
  static constexpr size_t kIdBytes[] = {0, 1, 8, 255};
  const Bytes id(kIdBytes[data[1] % std::size(kIdBytes)], 0x0f);
  Records peer, ours(data[0] & 0x80 ? 300 : ReplayWindow::kDefault);
  for (const uint64_t epoch : {2, 3}) {
    require(peer.startWriting(epoch, suite, secretOf(suite, 1)));
    require(ours.startReading(epoch, suite, secretOf(suite, 1)));
  }
  peer.setPeerId(id);
  if (!id.empty()) ours.setOwnIds({id});
  const ByteView rest(data + 3, std::min<size_t>(size - 3, 4096));
  (void)dtls13::connectionIdOf(rest, id.size());
  if (data[2] & 1) insiders(peer, ours, rest);
  strangers(ours, rest);
  // A datagram of the peer's that was damaged on its way is no stranger's with luck either.
  Bytes datagram;
  const Bytes message(20, 7);
  require(peer.seal(3, content_type::kApplicationData, message, datagram).has_value());
  if (data[2] & 2 && !rest.empty()) {
    Bytes damaged = datagram;
    bool changed = false;
    for (size_t i = 0; i < rest.size() && i < damaged.size(); ++i) {
      damaged[i] ^= rest[i];
      changed = changed || rest[i] != 0;
    }
    if (changed) strangers(ours, damaged);
  }
  if (ours.readWear(3) == KeyWear::Spent) return 0;
  const Exact whole(datagram);
  RecordTrain incoming(whole.view());
  const auto record = ours.next(incoming);
  require(record && record->number.epoch == 3);
  require(
      std::equal(message.begin(), message.end(), record->content.begin(), record->content.end()));
  return 0;
}
