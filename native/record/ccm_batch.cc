#include "record/ccm_batch.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace mcbn {
namespace {

constexpr size_t kBlockBytes = 16;
// RFC 3610 section 2.2: a longer one has another encoding, which no record needs.
constexpr size_t kAdditionalBytes = 0xff00;
constexpr size_t kPrefixBytes = 2;

// Sixteen bytes at once; gcc and clang know it on every processor.
using Block = uint64_t __attribute__((vector_size(kBlockBytes)));

Block load(const uint8_t* bytes) {
  Block block;
  std::memcpy(&block, bytes, kBlockBytes);
  return block;
}

void store(uint8_t* bytes, Block block) { std::memcpy(bytes, &block, kBlockBytes); }

// Block `index` of the additional data with its length in front and zeros behind.
Block additionalBlock(ByteView data, size_t index) {
  uint8_t bytes[kBlockBytes] = {};
  size_t at = 0, from = 0;
  if (index == 0) {
    putBigEndian(bytes, data.size(), kPrefixBytes);
    at = kPrefixBytes;
  } else {
    from = index * kBlockBytes - kPrefixBytes;
  }
  std::memcpy(bytes + at, data.data() + from, std::min(kBlockBytes - at, data.size() - from));
  return load(bytes);
}

size_t additionalBlocks(size_t length) {
  return length == 0 ? 0 : (kPrefixBytes + length + kBlockBytes - 1) / kBlockBytes;
}

}  // namespace

// What a step works on. Of `in` and `out` the first blocks are MAC states, the counter blocks and
// the key stream made of them are behind these.
struct CcmBatch::Lanes {
  using Blocks = std::array<uint8_t, kWidest * kBlockBytes>;

  explicit Lanes(std::span<CcmMessage> messages) : count(messages.size()) {
    for (size_t i = 0; i < count; ++i) message[i] = &messages[i];
    const auto longer = [](const CcmMessage* a, const CcmMessage* b) {
      return a->text.size() > b->text.size();
    };
    const auto end = message.begin() + static_cast<ptrdiff_t>(count);
    if (!std::is_sorted(message.begin(), end, longer)) std::sort(message.begin(), end, longer);
    more = count;
  }
  ~Lanes() {
    OPENSSL_cleanse(in.data(), 2 * count * kBlockBytes);
    OPENSSL_cleanse(out.data(), 2 * count * kBlockBytes);
    OPENSSL_cleanse(mask.data(), count * kBlockBytes);
  }
  Lanes(const Lanes&) = delete;
  Lanes& operator=(const Lanes&) = delete;

  const uint8_t* mac(size_t lane) const { return out.data() + lane * kBlockBytes; }
  const uint8_t* stream(size_t lane) const { return out.data() + (macs + lane) * kBlockBytes; }
  uint8_t* nextMac(size_t lane) { return in.data() + lane * kBlockBytes; }
  // A_index of the first `lanes` messages, behind `behind` MAC states.
  void nextCounters(size_t index, size_t lanes, size_t behind) {
    uint8_t number[kBlockBytes] = {};
    putBigEndian(number + kBlockBytes - 4, index, 4);
    const Block counter = load(number);
    uint8_t* at = in.data() + behind * kBlockBytes;
    for (size_t i = 0; i < lanes; ++i, at += kBlockBytes) {
      store(at, load(first.data() + i * kBlockBytes) ^ counter);
    }
  }
  // How many have text at `offset`.
  size_t withTextAt(size_t offset) {
    while (more > 0 && message[more - 1]->text.size() <= offset) more -= 1;
    return more;
  }

  const size_t count;
  size_t macs = 0;  // of the last call
  size_t more;
  std::array<CcmMessage*, kWidest> message;
  std::array<uint8_t, 2 * kWidest * kBlockBytes> in;
  std::array<uint8_t, 2 * kWidest * kBlockBytes> out;
  Blocks first;  // A_0
  Blocks mask;   // S_0
};

bool CcmBatch::takes(const CcmMessage& message, size_t additional) const {
  return message.nonce.size() == nonce_bytes_ && message.additional.size() == additional &&
         message.text.size() <= kLongest;
}

template <bool opening>
bool CcmBatch::each(std::span<CcmMessage> messages) {
  bool done = nonce_bytes_ >= 7 && nonce_bytes_ <= 13 && tag_bytes_ >= 4 &&
              tag_bytes_ <= kBlockBytes && tag_bytes_ % 2 == 0;
  const size_t additional = messages.empty() ? 0 : messages[0].additional.size();
  done = done && additional < kAdditionalBytes;
  for (CcmMessage& message : messages) {
    message.authentic = false;
    done = done && takes(message, additional);
  }
  for (auto rest = messages; done && !rest.empty();) {
    const size_t some = std::min(rest.size(), kWidest);
    done = advance<opening>(rest.first(some));
    rest = rest.subspan(some);
  }
  if (done) return true;
  for (CcmMessage& message : messages) {
    message.authentic = false;
    OPENSSL_cleanse(message.text.data(), message.text.size());
  }
  return false;
}

template <bool opening>
bool CcmBatch::advance(std::span<CcmMessage> messages) {
  Lanes lanes(messages);
  if (!begin(lanes) || !authenticate(lanes)) return false;
  size_t count = lanes.more;
  finish<opening>(lanes, count, lanes.count);
  for (size_t offset = 0; count > 0; offset += kBlockBytes) {
    const size_t more = lanes.withTextAt(offset + kBlockBytes);
    for (size_t i = 0; i < count; ++i) {
      uint8_t* const at = lanes.message[i]->text.data() + offset;
      const size_t length = lanes.message[i]->text.size() - offset;
      if (length >= kBlockBytes) {
        const Block before = load(at);
        const Block after = before ^ load(lanes.stream(i));
        store(at, after);
        store(lanes.nextMac(i), load(lanes.mac(i)) ^ (opening ? after : before));
        continue;
      }
      // The last block: the MAC sees zeros behind it.
      uint8_t before[kBlockBytes] = {}, after[kBlockBytes] = {};
      std::memcpy(before, at, length);
      store(after, load(before) ^ load(lanes.stream(i)));
      std::memcpy(at, after, length);
      std::memset(after + length, 0, kBlockBytes - length);
      store(lanes.nextMac(i), load(lanes.mac(i)) ^ load(opening ? after : before));
    }
    lanes.nextCounters(offset / kBlockBytes + 2, more, count);
    if (!encrypt(lanes, count + more)) return false;
    lanes.macs = count;
    finish<opening>(lanes, more, count);
    count = more;
  }
  return true;
}

bool CcmBatch::begin(Lanes& lanes) const {
  const size_t length_bytes = kBlockBytes - 1 - nonce_bytes_;
  for (size_t i = 0; i < lanes.count; ++i) {
    const CcmMessage& message = *lanes.message[i];
    uint8_t block[kBlockBytes] = {static_cast<uint8_t>(length_bytes - 1)};
    std::memcpy(block + 1, message.nonce.data(), nonce_bytes_);
    std::memcpy(lanes.first.data() + i * kBlockBytes, block, kBlockBytes);
    block[0] |= static_cast<uint8_t>((tag_bytes_ - 2) / 2 << 3);
    if (!message.additional.empty()) block[0] |= 0x40;
    putBigEndian(block + kBlockBytes - length_bytes, message.text.size(), length_bytes);
    std::memcpy(lanes.nextMac(i), block, kBlockBytes);
  }
  lanes.nextCounters(0, lanes.count, lanes.count);
  if (!encrypt(lanes, 2 * lanes.count)) return false;
  std::memcpy(lanes.mask.data(), lanes.out.data() + lanes.count * kBlockBytes,
              lanes.count * kBlockBytes);
  return true;
}

// The additional data, and S_1 of those that have text.
bool CcmBatch::authenticate(Lanes& lanes) const {
  const size_t count = lanes.count;
  const size_t texts = lanes.withTextAt(0);
  const size_t blocks = additionalBlocks(lanes.message[0]->additional.size());
  for (size_t block = 0; block < blocks; ++block) {
    for (size_t i = 0; i < count; ++i) {
      const Block data = additionalBlock(lanes.message[i]->additional, block);
      store(lanes.nextMac(i), load(lanes.mac(i)) ^ data);
    }
    const bool last = block + 1 == blocks;
    if (last) lanes.nextCounters(1, texts, count);
    if (!encrypt(lanes, count + (last ? texts : 0))) return false;
  }
  lanes.macs = count;
  if (blocks > 0) return true;
  // Only the key stream: the MAC states stay where they are.
  lanes.nextCounters(1, texts, count);
  const size_t at = count * kBlockBytes;
  return texts == 0 || EVP_Cipher(aes_, lanes.out.data() + at, lanes.in.data() + at,
                                  static_cast<unsigned>(texts * kBlockBytes)) > 0;
}

template <bool opening>
void CcmBatch::finish(Lanes& lanes, size_t from, size_t to) const {
  for (size_t i = from; i < to; ++i) {
    CcmMessage& message = *lanes.message[i];
    uint8_t tag[kBlockBytes];
    store(tag, load(lanes.mac(i)) ^ load(lanes.mask.data() + i * kBlockBytes));
    if (!opening) {
      std::memcpy(message.tag, tag, tag_bytes_);
      continue;
    }
    message.authentic = CRYPTO_memcmp(tag, message.tag, tag_bytes_) == 0;
    // A stranger would learn the right tag of what he made up.
    OPENSSL_cleanse(tag, sizeof tag);
    if (!message.authentic) OPENSSL_cleanse(message.text.data(), message.text.size());
  }
}

bool CcmBatch::encrypt(Lanes& lanes, size_t blocks) const {
  return EVP_Cipher(aes_, lanes.out.data(), lanes.in.data(),
                    static_cast<unsigned>(blocks * kBlockBytes)) > 0;
}

template bool CcmBatch::each<false>(std::span<CcmMessage> messages);
template bool CcmBatch::each<true>(std::span<CcmMessage> messages);

}  // namespace mcbn
