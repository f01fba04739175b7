#include "dtls13/record_cipher.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <cstring>

#include "base/few.h"
#include "dtls13/record_frame.h"
#include "record/ccm_batch.h"

namespace mcbn::dtls13 {
namespace {

// ChaCha20 takes its nonce later.
CipherContext maskContext(const Suite& suite, ByteView key) {
  if (suite.kind != AeadKind::ChaCha) return aesBlocks(key);
  const EVP_CIPHER* const chacha = chaCha20Cipher();
  CipherContext context(chacha ? EVP_CIPHER_CTX_new() : nullptr);
  if (context && EVP_EncryptInit_ex(context.get(), chacha, nullptr, key.data(), nullptr) != 1) {
    context.reset();
  }
  return context;
}

// Blocks that go to AES at once: a train of UDP_GRO has no more records.
constexpr size_t kMasksAtOnce = 64;

using Nonce = std::array<uint8_t, kNonceBytes>;

// RFC 8446 section 5.3: the number, padded to the left, XOR the IV.
Nonce nonceOf(const Secret& iv, uint64_t sequence) {
  Nonce nonce{};
  putBigEndian(nonce.data() + kNonceBytes - sizeof sequence, sequence, sizeof sequence);
  for (size_t i = 0; i < kNonceBytes; ++i) nonce[i] ^= iv.data()[i];
  return nonce;
}

void applyMask(const uint8_t* mask, MutableBytes number) {
  for (size_t i = 0; i < number.size(); ++i) number[i] ^= mask[i];
}

int asInt(size_t length) { return static_cast<int>(length); }

// The tag that a context has made, or is to find. Not by EVP_CIPHER_CTX_ctrl(): that takes as long as
// the encryption of four blocks.
bool tagOf(EVP_CIPHER_CTX* context, MutableBytes tag, bool opening) {
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag.data(), tag.size()),
      OSSL_PARAM_construct_end()};
  return (opening ? EVP_CIPHER_CTX_set_params(context, parameters)
                  : EVP_CIPHER_CTX_get_params(context, parameters)) == 1;
}

// The whole nonce, and the tag to be found unless it is empty: by one call that sets parameters.
// EVP_CipherInit_ex() of OpenSSL 3.0 asks for the nonce's length each time, which takes as long.
bool beginGcm(EVP_CIPHER_CTX* context, Nonce nonce, MutableBytes tag) {
  // As EVP_CTRL_GCM_SET_IV_FIXED has it: instead of the length of a part.
  constexpr auto kWhole = static_cast<size_t>(-1);
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TLS1_IV_FIXED, nonce.data(), kWhole),
      tag.empty()
          ? OSSL_PARAM_construct_end()
          : OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag.data(), tag.size()),
      OSSL_PARAM_construct_end()};
  return EVP_CIPHER_CTX_set_params(context, parameters) == 1;
}

}  // namespace

RecordCipher::RecordCipher(const Suite& suite, Direction direction, TrafficKeys keys)
    : suite_(suite), direction_(direction), keys_(std::move(keys)) {
  MCBN_ASSERT(keys_.key.size() == suite.key && keys_.iv.size() == kNonceBytes &&
              keys_.number.size() == suite.key);
}

void RecordCipher::release() {
  aead_.reset();
  ecb_.reset();
  number_.reset();
}

// ---- masks of numbers ----------------------------------------------------------------------------

bool RecordCipher::maskNumbers(std::span<const CipherPiece> pieces) {
  if (!number_) number_ = maskContext(suite_, keys_.number.view());
  if (!number_) return false;
  if (suite_.kind != AeadKind::ChaCha) return maskByAes(pieces);
  return std::ranges::all_of(pieces, [&](const CipherPiece& piece) { return maskByChaCha(piece); });
}

// All of them by one call: AES-ECB has no order.
bool RecordCipher::maskByAes(std::span<const CipherPiece> pieces) {
  std::array<uint8_t, kMasksAtOnce * kMinEncryptedBytes> blocks;
  for (; !pieces.empty(); pieces = pieces.subspan(std::min(pieces.size(), kMasksAtOnce))) {
    const auto some = pieces.first(std::min(pieces.size(), kMasksAtOnce));
    uint8_t* block = blocks.data();
    for (const CipherPiece& piece : some) {
      MCBN_ASSERT(piece.encrypted.size() >= kMinEncryptedBytes);
      block = std::copy_n(piece.encrypted.data(), kMinEncryptedBytes, block);
    }
    if (EVP_Cipher(number_.get(), blocks.data(), blocks.data(),
                   static_cast<unsigned>(some.size() * kMinEncryptedBytes)) <= 0) {
      return false;
    }
    block = blocks.data();
    for (const CipherPiece& piece : some) {
      applyMask(block, numberIn(piece.header));
      block += kMinEncryptedBytes;
    }
  }
  return true;
}

// OpenSSL's IV of ChaCha20 is counter (little-endian) and nonce, which is what the sample is taken
// for.
bool RecordCipher::maskByChaCha(const CipherPiece& piece) {
  MCBN_ASSERT(piece.encrypted.size() >= kMinEncryptedBytes);
  static constexpr std::array<uint8_t, 2> kZeros{};
  std::array<uint8_t, 2> mask;
  int length = 0;
  if (EVP_EncryptInit_ex(number_.get(), nullptr, nullptr, nullptr, piece.encrypted.data()) != 1 ||
      EVP_EncryptUpdate(number_.get(), mask.data(), &length, kZeros.data(), asInt(kZeros.size())) !=
          1) {
    return false;
  }
  applyMask(mask.data(), numberIn(piece.header));
  return true;
}

// ---- AEAD ----------------------------------------------------------------------------------------

void RecordCipher::seal(std::span<CipherPiece> pieces) {
  MCBN_ASSERT(direction_ == Direction::Seal);
  if (together(pieces)) return ccm(pieces);
  for (CipherPiece& piece : pieces) piece.done = sealOne(piece);
  wipeUndone(pieces);
}

void RecordCipher::open(std::span<CipherPiece> pieces) {
  MCBN_ASSERT(direction_ == Direction::Open);
  if (together(pieces)) return ccm(pieces);
  for (CipherPiece& piece : pieces) piece.done = openOne(piece);
  wipeUndone(pieces);
}

void RecordCipher::wipeUndone(std::span<CipherPiece> pieces) {
  for (const CipherPiece& piece : pieces) {
    if (!piece.done) OPENSSL_cleanse(piece.encrypted.data(), piece.encrypted.size());
  }
}

bool RecordCipher::readyAead() {
  if (aead_) return true;
  const EVP_CIPHER* const cipher = aeadCipher(suite_.kind, suite_.key);
  aead_.reset(cipher ? EVP_CIPHER_CTX_new() : nullptr);
  EVP_CIPHER_CTX* const context = aead_.get();
  const int sealing = direction_ == Direction::Seal ? 1 : 0;
  const auto begin = [&](const EVP_CIPHER* as, const uint8_t* key) {
    return EVP_CipherInit_ex(context, as, nullptr, key, nullptr, sealing) == 1;
  };
  const auto control = [&](int what, size_t length) {
    return EVP_CIPHER_CTX_ctrl(context, what, asInt(length), nullptr) > 0;
  };
  const uint8_t* const key = keys_.key.data();
  // CCM is told the lengths of nonce and tag before its key; the nonces of others have 12 bytes anyway.
  if (context && (suite_.kind != AeadKind::Ccm
                      ? begin(cipher, key)
                      : begin(cipher, nullptr) && control(EVP_CTRL_AEAD_SET_IVLEN, kNonceBytes) &&
                            control(EVP_CTRL_AEAD_SET_TAG, suite_.tag) && begin(nullptr, key))) {
    return true;
  }
  aead_.reset();
  return false;
}

// Nonce and additional data of a record.
bool RecordCipher::begin(const CipherPiece& piece, size_t text) {
  if (!readyAead()) return false;
  EVP_CIPHER_CTX* const context = aead_.get();
  const Nonce nonce = nonceOf(keys_.iv, piece.sequence);
  int length = 0;
  const bool opening = direction_ == Direction::Open;
  const MutableBytes tag = opening ? piece.encrypted.subspan(text) : MutableBytes();
  return (suite_.kind == AeadKind::Gcm
              ? beginGcm(context, nonce, tag)
              : (!opening || tagOf(context, tag, true)) &&
                    EVP_CipherInit_ex(context, nullptr, nullptr, nullptr, nonce.data(),
                                      opening ? 0 : 1) == 1) &&
         // CCM alone needs the length first.
         (suite_.kind != AeadKind::Ccm ||
          EVP_CipherUpdate(context, nullptr, &length, nullptr, asInt(text)) == 1) &&
         EVP_CipherUpdate(context, nullptr, &length, piece.header.data(),
                          asInt(piece.header.size())) == 1;
}

bool RecordCipher::sealOne(const CipherPiece& piece) {
  const size_t text = piece.encrypted.size() - suite_.tag;
  uint8_t* const bytes = piece.encrypted.data();
  int length = 0;
  return begin(piece, text) &&
         EVP_CipherUpdate(aead_.get(), bytes, &length, bytes, asInt(text)) == 1 &&
         EVP_CipherFinal_ex(aead_.get(), bytes + length, &length) == 1 &&
         tagOf(aead_.get(), piece.encrypted.subspan(text), false);
}

bool RecordCipher::openOne(const CipherPiece& piece) {
  if (piece.encrypted.size() < suite_.tag) return false;
  const size_t text = piece.encrypted.size() - suite_.tag;
  uint8_t* const bytes = piece.encrypted.data();
  int length = 0;
  // CCM compares the tag in its only update.
  return begin(piece, text) &&
         EVP_CipherUpdate(aead_.get(), bytes, &length, bytes, asInt(text)) == 1 &&
         (suite_.kind == AeadKind::Ccm ||
          EVP_CipherFinal_ex(aead_.get(), bytes + length, &length) == 1);
}

// ---- CCM, as many as there are ---------------------------------------------------------------------

bool RecordCipher::together(std::span<const CipherPiece> pieces) const {
  if (suite_.kind != AeadKind::Ccm || pieces.empty()) return false;
  return pieces.size() > 1 || CcmBatch::worthOne(pieces[0].encrypted.size());
}

// Pieces whose headers have one length go together, as CcmBatch wants it.
void RecordCipher::ccm(std::span<CipherPiece> pieces) {
  constexpr size_t kMost = CcmBatch::kWidest;
  if (!ecb_) ecb_ = aesBlocks(keys_.key.view());
  Few<CcmMessage, kMost> messages;
  Few<CipherPiece*, kMost> of;
  std::array<Nonce, kMost> nonces;
  const bool sealing = direction_ == Direction::Seal;
  while (!pieces.empty()) {
    messages.clear();
    of.clear();
    const size_t header = pieces[0].header.size();
    size_t looked = 0;
    for (; looked < pieces.size() && !of.full(); ++looked) {
      CipherPiece& piece = pieces[looked];
      if (piece.header.size() != header) break;
      piece.done = false;
      if (piece.encrypted.size() < suite_.tag) continue;
      const size_t text = piece.encrypted.size() - suite_.tag;
      nonces[of.size()] = nonceOf(keys_.iv, piece.sequence);
      messages.add({.nonce = nonces[of.size()],
                    .additional = piece.header,
                    .text = piece.encrypted.first(text),
                    .tag = piece.encrypted.data() + text});
      of.add(&piece);
    }
    CcmBatch batch(ecb_.get(), kNonceBytes, suite_.tag);
    const std::span<CcmMessage> wanted = messages.items();
    const bool worked = ecb_ && (sealing ? batch.seal(wanted) : batch.open(wanted));
    for (size_t i = 0; worked && i < of.size(); ++i) of[i]->done = sealing || messages[i].authentic;
    wipeUndone(pieces.first(looked));
    pieces = pieces.subspan(looked);
  }
}

}  // namespace mcbn::dtls13
