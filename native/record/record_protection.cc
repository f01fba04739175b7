#include "record/record_protection.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <cstring>

namespace mcbn {
namespace {

void put(uint8_t* out, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) out[i] = static_cast<uint8_t>(value >> (8 * (bytes - 1 - i)));
}

// Fetched once: every later use is a pointer. Never freed, like the provider it comes from.
const EVP_CIPHER* cipherOf(const AeadSuite& suite) {
  static const EVP_CIPHER* const aes128gcm = EVP_CIPHER_fetch(nullptr, "AES-128-GCM", nullptr);
  static const EVP_CIPHER* const aes256gcm = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  static const EVP_CIPHER* const aes128ccm = EVP_CIPHER_fetch(nullptr, "AES-128-CCM", nullptr);
  static const EVP_CIPHER* const aes256ccm = EVP_CIPHER_fetch(nullptr, "AES-256-CCM", nullptr);
  static const EVP_CIPHER* const chacha = EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr);
  const bool long_key = suite.key == 32;
  switch (suite.kind) {
    case AeadKind::Gcm:
      return long_key ? aes256gcm : aes128gcm;
    case AeadKind::Ccm:
      return long_key ? aes256ccm : aes128ccm;
    case AeadKind::ChaCha:
      return chacha;
  }
  return nullptr;
}

}  // namespace

// ---- which directions have a context
// -------------------------------------------------------------

CipherContexts::~CipherContexts() {
  while (oldest_) remove(*oldest_);
}

void CipherContexts::used(RecordProtection& direction) {
  if (newest_ == &direction) return;
  if (direction.newer_ || oldest_ == &direction) {  // in the list: take it out
    (direction.older_ ? direction.older_->newer_ : oldest_) = direction.newer_;
    if (direction.newer_) direction.newer_->older_ = direction.older_;
  } else {
    count_ += 1;
  }
  direction.newer_ = nullptr;
  direction.older_ = newest_;
  (newest_ ? newest_->newer_ : oldest_) = &direction;
  newest_ = &direction;
  while (count_ > capacity_) remove(*oldest_);
}

void CipherContexts::remove(RecordProtection& direction) {
  (direction.older_ ? direction.older_->newer_ : oldest_) = direction.newer_;
  (direction.newer_ ? direction.newer_->older_ : newest_) = direction.older_;
  direction.newer_ = direction.older_ = nullptr;
  direction.context_.reset();
  count_ -= 1;
}

// ---- one direction
// -------------------------------------------------------------------------------

void RecordProtection::FreeContext::operator()(EVP_CIPHER_CTX* context) const {
  EVP_CIPHER_CTX_free(context);
}

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
  if (contexts_ && context_) contexts_->remove(*this);
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
  const EVP_CIPHER* cipher = cipherOf(suite_);
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
        put(iv_.data() + suite_.fixed_iv, number, suite_.explicit_nonce);
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
  if (contexts_ && (newer_ || contexts_->oldest_ == this)) contexts_->remove(*this);
  context_.reset();
  return false;
}

bool RecordProtection::additionalData(uint8_t type, uint64_t number, size_t length) {
  uint8_t data[EVP_AEAD_TLS1_AAD_LEN];
  put(data, number, 8);
  data[8] = type;
  put(data + 9, kDtls12, 2);
  put(data + 11, length, 2);
  // Not EVP_CIPHER_CTX_ctrl(): that costs as much as a third of the encryption of a small record.
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TLS1_AAD, data, sizeof data),
      OSSL_PARAM_construct_end()};
  return EVP_CIPHER_CTX_set_params(context_.get(), parameters) == 1;
}

bool RecordProtection::seal(uint8_t type, uint64_t number, uint8_t* record, size_t length) {
  if (!ready(number)) return false;
  const size_t fragment = length + overhead();
  record[0] = id_.empty() ? type : content_type::kTls12Cid;
  put(record + 1, kDtls12, 2);
  put(record + 3, number, 8);
  std::copy(id_.begin(), id_.end(), record + 11);
  uint8_t* const body = record + headerBytes();
  put(body - 2, fragment, 2);
  if (!id_.empty()) {
    body[suite_.explicit_nonce + length] = type;
    return sealWithId(number, body, length + 1);
  }
  if (!additionalData(type, number, suite_.explicit_nonce + length)) return false;
  if (suite_.kind == AeadKind::Gcm) next_nonce_ += 1;
  const int sealed = EVP_Cipher(context_.get(), body, body, static_cast<unsigned>(fragment));
  return sealed > 0;
}

std::optional<size_t> RecordProtection::open(uint8_t type, uint64_t number, uint8_t* fragment,
                                             size_t length) {
  if (length < overhead() || !ready(number)) return std::nullopt;
  if (!id_.empty()) return openWithId(number, fragment, length);
  if (!additionalData(type, number, length)) return std::nullopt;
  const int opened = EVP_Cipher(context_.get(), fragment, fragment, static_cast<unsigned>(length));
  if (opened < 0) return std::nullopt;
  return length - suite_.overhead();
}

}  // namespace mcbn
