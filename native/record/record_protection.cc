#include "record/record_protection.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <cstring>

#include "record/ccm_batch.h"
#include "record/ciphers.h"

namespace mcbn {

// ---- which directions have a context -----------------------------------------------------------

CipherContexts::~CipherContexts() {
  while (RecordProtection* const oldest = recency_.oldest()) remove(*oldest);
}

void CipherContexts::used(RecordProtection& direction) {
  if (!recency_.contains(direction)) count_ += 1;
  recency_.touch(direction);
  while (count_ > capacity_) remove(*recency_.oldest());
}

void CipherContexts::remove(RecordProtection& direction) {
  MCBN_ASSERT(recency_.contains(direction));
  recency_.erase(direction);
  direction.context_.reset();
  direction.aes_.reset();
  count_ -= 1;
}

bool CipherContexts::contains(const RecordProtection& direction) const {
  return recency_.contains(direction);
}

// ---- one direction -----------------------------------------------------------------------------

RecordProtection::RecordProtection(const AeadSuite& suite, Direction direction, Secret key,
                                   ByteView fixed_iv, CipherContexts* contexts, Bytes id)
    : suite_(suite),
      direction_(direction),
      key_(std::move(key)),
      contexts_(contexts),
      id_(std::move(id)) {
  std::memcpy(iv_.data(), fixed_iv.data(), std::min(fixed_iv.size(), iv_.size()));
}

RecordProtection::~RecordProtection() {
  if (contexts_ && (context_ || aes_)) contexts_->remove(*this);
  OPENSSL_cleanse(iv_.data(), iv_.size());
}

bool RecordProtection::ready(uint64_t number) {
  // GCM's context counts the explicit nonce itself, and is told only where to begin.
  const bool in_step = suite_.kind != AeadKind::Gcm || direction_ == Direction::Open ||
                       !id_.empty() || next_nonce_ == number;
  if (!context_ || !in_step) {
    if (!makeContext(number)) return false;
  }
  if (contexts_) contexts_->used(*this);
  return true;
}

bool RecordProtection::makeContext(uint64_t number) {
  const bool sealing = direction_ == Direction::Seal;
  const EVP_CIPHER* cipher = aeadCipher(suite_.kind, suite_.key);
  if (!cipher || key_.size() != suite_.key) return false;
  if (!context_) context_.reset(EVP_CIPHER_CTX_new());
  EVP_CIPHER_CTX* const context = context_.get();
  if (!context) return false;
  const auto control = [&](int what, int length, void* data) {
    return EVP_CIPHER_CTX_ctrl(context, what, length, data) > 0;
  };
  const auto init = [&](const EVP_CIPHER* type, const uint8_t* key, const uint8_t* iv) {
    return EVP_CipherInit_ex(context, type, nullptr, key, iv, sealing ? 1 : 0) == 1;
  };
  bool made = init(cipher, nullptr, nullptr);
  switch (suite_.kind) {
    case AeadKind::Gcm: {
      made = made && init(nullptr, key_.data(), nullptr);
      if (!id_.empty()) break;  // every record sets its whole nonce
      if (sealing) {
        // -1: the whole nonce, so that the counter begins at this record's number.
        putBigEndian(iv_.data() + suite_.fixed_iv, number, suite_.explicit_nonce);
        made = made && control(EVP_CTRL_GCM_SET_IV_FIXED, -1, iv_.data());
        next_nonce_ = number;
      } else {
        made = made &&
               control(EVP_CTRL_GCM_SET_IV_FIXED, static_cast<int>(suite_.fixed_iv), iv_.data());
      }
      break;
    }
    case AeadKind::Ccm:
      made = made && control(EVP_CTRL_AEAD_SET_IVLEN, kNonceBytes, nullptr) &&
             control(EVP_CTRL_AEAD_SET_TAG, static_cast<int>(suite_.tag), nullptr) &&
             (!id_.empty() ||
              control(EVP_CTRL_CCM_SET_IV_FIXED, static_cast<int>(suite_.fixed_iv), iv_.data())) &&
             init(nullptr, key_.data(), nullptr);
      break;
    case AeadKind::ChaCha:
      made = made && init(nullptr, key_.data(), iv_.data());
      break;
  }
  if (made) return true;
  if (contexts_ && contexts_->contains(*this)) contexts_->remove(*this);
  context_.reset();
  return false;
}

bool RecordProtection::additionalData(uint8_t type, uint64_t number, size_t length) {
  uint8_t data[EVP_AEAD_TLS1_AAD_LEN];
  putBigEndian(data, number, 8);
  data[8] = type;
  putBigEndian(data + 9, kDtls12, 2);
  putBigEndian(data + 11, length, 2);
  // Not EVP_CIPHER_CTX_ctrl(): that costs as much as a third of the encryption of a small record.
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TLS1_AAD, data, sizeof data),
      OSSL_PARAM_construct_end()};
  return EVP_CIPHER_CTX_set_params(context_.get(), parameters) == 1;
}

// By measurement (bench/native/ccm.cc): two records are faster together however long they are.
bool RecordProtection::together(std::span<const RecordPiece> pieces) const {
  if (suite_.kind != AeadKind::Ccm || pieces.empty()) return false;
  if (pieces.size() > 1) return true;
  const size_t around = direction_ == Direction::Open ? suite_.overhead() : 0;
  return CcmBatch::worthOne(pieces[0].length - std::min(pieces[0].length, around));
}

void RecordProtection::writeHeader(const RecordPiece& piece) const {
  uint8_t* const record = piece.fragment - headerBytes();
  record[0] = id_.empty() ? piece.type : content_type::kTls12Cid;
  putBigEndian(record + 1, kDtls12, 2);
  putBigEndian(record + 3, piece.number, 8);
  std::copy(id_.begin(), id_.end(), record + 11);
  putBigEndian(piece.fragment - 2, piece.length + overhead(), 2);
  if (!id_.empty()) piece.fragment[suite_.explicit_nonce + piece.length] = piece.type;
  putBigEndian(piece.fragment, piece.number, suite_.explicit_nonce);
}

void RecordProtection::seal(std::span<RecordPiece> pieces) {
  for (RecordPiece& piece : pieces) writeHeader(piece);
  if (together(pieces)) return ccm(pieces);
  for (RecordPiece& piece : pieces) sealOne(piece);
}

void RecordProtection::open(std::span<RecordPiece> pieces) {
  if (together(pieces)) return ccm(pieces);
  for (RecordPiece& piece : pieces) openOne(piece);
}

void RecordProtection::sealOne(RecordPiece& piece) {
  piece.done = false;
  if (!ready(piece.number)) return;
  if (!id_.empty()) {
    piece.done = sealWithId(piece.number, piece.fragment, piece.length + 1);
    return;
  }
  if (!additionalData(piece.type, piece.number, suite_.explicit_nonce + piece.length)) return;
  if (suite_.kind == AeadKind::Gcm) next_nonce_ += 1;
  const size_t fragment = piece.length + overhead();
  piece.done = EVP_Cipher(context_.get(), piece.fragment, piece.fragment,
                          static_cast<unsigned>(fragment)) > 0;
}

void RecordProtection::openOne(RecordPiece& piece) {
  const auto [type, number, fragment, length, before] = piece;
  piece.done = false;
  if (length < overhead() || !ready(number)) return;
  if (!id_.empty()) {
    piece.done = openWithId(number, fragment, length);
  } else {
    piece.done = additionalData(type, number, length) &&
                 EVP_Cipher(context_.get(), fragment, fragment, static_cast<unsigned>(length)) >= 0;
  }
  // EVP does so itself only in the mode of libssl.
  if (!piece.done) OPENSSL_cleanse(fragment, length);
}

}  // namespace mcbn
