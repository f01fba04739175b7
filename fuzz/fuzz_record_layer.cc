// Records of an open session as a stranger would write them: never authentic, never read beyond
// their end, and none keeps the peer's own records out.
#include <cstdlib>

#include "record/record_layer.h"

using namespace mcbn;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

RecordKeys keysOf(const AeadSuite& suite, uint8_t write, uint8_t read) {
  const Bytes a(suite.key, write), b(suite.key, read);
  return {Secret(a), Secret(b), Bytes(suite.fixed_iv, write), Bytes(suite.fixed_iv, read)};
}

const AeadSuite& suiteOf(uint8_t choice) {
  static const AeadSuite* const all[] = {
      &aead::kAes128Gcm,  &aead::kAes256Gcm,  &aead::kAes128Ccm,       &aead::kAes256Ccm,
      &aead::kAes128Ccm8, &aead::kAes256Ccm8, &aead::kChaCha20Poly1305};
  return *all[choice % std::size(all)];
}

// Of those we hand out, and of the peer's: none more often than any other.
Bytes idOf(uint8_t choice, uint8_t fill) {
  static constexpr size_t kLengths[] = {0, 0, 1, 8, 32, kMaxConnectionIdBytes};
  return Bytes(kLengths[choice % std::size(kLengths)], fill);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  const AeadSuite& suite = suiteOf(data[0]);
  const Bytes our_id = idOf(data[1], 0x0f), peer_id = idOf(data[2], 0xf0);
  const size_t window = data[0] & 0x80 ? 300 : ReplayWindow::kDefault;
  CipherContexts contexts(1);
  RecordLayer peer(suite, 1, keysOf(suite, 1, 2), 1, 0, &contexts, window, {peer_id, our_id});
  RecordLayer ours(suite, 1, keysOf(suite, 2, 1), 1, 0, &contexts, window, {our_id, peer_id});
  ByteView rest(data + 3, size - 3);
  (void)connectionIdOf(rest, our_id.size());
  while (!rest.empty()) {
    const auto record = nextRecord(rest, our_id.size());
    if (!record) break;
    // Exactly as large as promised: one byte more would be found.
    const std::unique_ptr<uint8_t[]> place(new uint8_t[record->fragment.size()]);
    const auto length = ours.open(*record, place.get());
    require(!length.has_value());
    require(ours.dropReason() != DropReason::None);
  }
  const Bytes message(20, 7);
  Bytes sealed(peer.sealedSize(message.size()));
  require(peer.seal(content_type::kApplicationData, message, sealed.data()));
  ByteView datagram(sealed);
  const auto record = nextRecord(datagram, our_id.size());
  require(record.has_value());
  require(our_id.empty() == (record->type != content_type::kTls12Cid));
  Bytes opened(record->fragment.size());
  const auto length = ours.open(*record, opened.data());
  require(length == message.size());
  require(ours.contentType() == content_type::kApplicationData && ours.newest());
  require(std::equal(message.begin(), message.end(),
                     opened.begin() + static_cast<ptrdiff_t>(ours.contentOffset())));
  return 0;
}
