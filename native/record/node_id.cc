#include "record/node_id.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

namespace mcbn {
namespace {

constexpr size_t kAesBlock = 16;

// One AES block, which may be where it came from.
bool once(const CipherContext& context, uint8_t* out, const uint8_t* in) {
  int done = 0;
  return context && EVP_CipherUpdate(context.get(), out, &done, in, kAesBlock) == 1 &&
         done == kAesBlock;
}

// The halves of a block. Of an odd number of bytes both have the middle one, the left its first four
// bits, the right its last.
struct Halves {
  static constexpr size_t kMost = (NodeIdCipher::kMostBlock + 1) / 2;

  explicit Halves(ByteView block) : size((block.size() + 1) / 2), odd(block.size() % 2 == 1) {
    std::copy_n(block.begin(), size, left_.begin());
    std::copy_n(block.end() - static_cast<ptrdiff_t>(size), size, right_.begin());
    clear();
  }
  void writeTo(MutableBytes block) const {
    std::copy_n(left_.begin(), size, block.begin());
    uint8_t* const middle = block.data() + block.size() - size;
    std::copy_n(right_.begin() + (odd ? 1 : 0), size - (odd ? 1 : 0), middle + (odd ? 1 : 0));
    if (odd) *middle = static_cast<uint8_t>(left_[size - 1] | right_[0]);
  }
  void clear() {
    if (!odd) return;
    left_[size - 1] &= 0xf0;
    right_[0] &= 0x0f;
  }
  MutableBytes left() { return {left_.data(), size}; }
  MutableBytes right() { return {right_.data(), size}; }

  const size_t size;
  const bool odd;

 private:
  std::array<uint8_t, kMost> left_{}, right_{};
};

}  // namespace

NodeIdCipher::NodeIdCipher(ByteView key)
    : encrypt_(aesBlocks(key)), decrypt_(aesBlocks(key, AesUse::Decrypt)) {
  MCBN_ASSERT(key.size() == kKeyBytes);
}

// to ^= AES(from, zeros, length, pass)
bool NodeIdCipher::round(MutableBytes to, ByteView from, size_t length, uint8_t pass) {
  std::array<uint8_t, kAesBlock> block{};
  std::copy(from.begin(), from.end(), block.begin());
  block[kAesBlock - 2] = static_cast<uint8_t>(length);
  block[kAesBlock - 1] = pass;
  if (!once(encrypt_, block.data(), block.data())) return false;
  for (size_t i = 0; i < to.size(); ++i) to[i] ^= block[i];
  return true;
}

bool NodeIdCipher::encrypt(MutableBytes block) {
  if (block.size() == kAesBlock) return once(encrypt_, block.data(), block.data());
  return fourPasses(block, {1, 2, 3, 4});
}

bool NodeIdCipher::decrypt(MutableBytes block) {
  if (block.size() == kAesBlock) return once(decrypt_, block.data(), block.data());
  return fourPasses(block, {4, 3, 2, 1});
}

bool NodeIdCipher::fourPasses(MutableBytes block, const std::array<uint8_t, 4>& order) {
  MCBN_ASSERT(block.size() >= kLeastBlock && block.size() <= kMostBlock);
  Halves halves(block);
  for (const uint8_t pass : order) {
    const bool to_right = pass % 2 == 1;
    const bool done = to_right ? round(halves.right(), halves.left(), block.size(), pass)
                               : round(halves.left(), halves.right(), block.size(), pass);
    if (!done) return false;
    halves.clear();
  }
  halves.writeTo(block);
  return true;
}

NodeIds::NodeIds(const NodeIdForm& form, ByteView key) : form_(form) {
  MCBN_ASSERT(form.node_bytes >= 1 && form.node_bytes <= NodeIdForm::kMostNodeBytes);
  MCBN_ASSERT(form.length >= 1 + form.node_bytes + NodeIdForm::kLeastNonce);
  MCBN_ASSERT(form.length <= NodeIdForm::kLongest && form.rotation <= NodeIdForm::kMostRotation);
  if (!key.empty()) cipher_ = std::make_unique<NodeIdCipher>(key);
}

bool NodeIds::make(MutableBytes id, uint32_t node, std::optional<uint8_t> thread) {
  MCBN_ASSERT(id.size() == form_.length);
  const uint8_t low = thread.value_or(id[0]) & NodeIdForm::kThreadMask;
  id[0] = static_cast<uint8_t>(form_.rotation << 5 | low);
  putBigEndian(id.data() + 1, node, form_.node_bytes);
  if (!cipher_) return true;
  const MutableBytes nonce = id.subspan(1 + form_.node_bytes);
  const MutableBytes counted = nonce.last(std::min<size_t>(nonce.size(), 8));
  if (!nonce_) {
    nonce_ = 0;
    for (const uint8_t byte : counted) nonce_ = *nonce_ << 8 | byte;
  }
  nonce_ = *nonce_ + 1;
  putBigEndian(counted.data(), *nonce_, counted.size());
  return cipher_->encrypt(id.subspan(1));
}

std::optional<uint32_t> NodeIds::nodeOf(ByteView id) {
  if (id.size() != form_.length || id[0] >> 5 != form_.rotation) return std::nullopt;
  std::array<uint8_t, NodeIdCipher::kMostBlock> memory;
  const MutableBytes block(memory.data(), id.size() - 1);
  std::copy(id.begin() + 1, id.end(), block.begin());
  if (cipher_ && !cipher_->decrypt(block)) return std::nullopt;
  uint32_t node = 0;
  for (const uint8_t byte : block.first(form_.node_bytes)) node = node << 8 | byte;
  return node;
}

}  // namespace mcbn
