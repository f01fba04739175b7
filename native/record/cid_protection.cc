// Records with a connection ID: EVP's ordinary AEAD calls with the additional data of RFC 9146
// section 5.3. The nonces are those of records without one.
#include <openssl/evp.h>

#include <algorithm>

#include "record/connection_id.h"
#include "record/record_protection.h"

namespace mcbn {

// RFC 5288 section 3 and RFC 6655 section 3: fixed part, then what the record says. RFC 7905
// section 2: the number, masked with the IV.
std::array<uint8_t, kNonceBytes> RecordProtection::nonceOf(uint64_t number,
                                                           const uint8_t* fragment) const {
  std::array<uint8_t, kNonceBytes> nonce = iv_;
  if (suite_.kind != AeadKind::ChaCha) {
    std::copy_n(fragment, suite_.explicit_nonce, nonce.begin() + suite_.fixed_iv);
    return nonce;
  }
  std::array<uint8_t, 8> bytes;
  putBigEndian(bytes.data(), number, bytes.size());
  for (size_t i = 0; i < bytes.size(); ++i) nonce[4 + i] ^= bytes[i];
  return nonce;
}

// Nonce, length (CCM wants it first) and additional data.
bool RecordProtection::beginWithId(uint64_t number, const uint8_t* fragment, size_t inner) {
  EVP_CIPHER_CTX* const context = context_.get();
  const auto nonce = nonceOf(number, fragment);
  const CidAdditionalData additional(number, id_, inner);
  const ByteView data = additional.view();
  int done = 0;
  const bool ccm = suite_.kind == AeadKind::Ccm;
  return EVP_CipherInit_ex(context, nullptr, nullptr, nullptr, nonce.data(), -1) == 1 &&
         (!ccm ||
          EVP_CipherUpdate(context, nullptr, &done, nullptr, static_cast<int>(inner)) == 1) &&
         EVP_CipherUpdate(context, nullptr, &done, data.data(), static_cast<int>(data.size())) == 1;
}

bool RecordProtection::sealWithId(uint64_t number, uint8_t* fragment, size_t inner) {
  if (!beginWithId(number, fragment, inner)) return false;
  EVP_CIPHER_CTX* const context = context_.get();
  uint8_t* const text = fragment + suite_.explicit_nonce;
  int done = 0, rest = 0;
  return EVP_CipherUpdate(context, text, &done, text, static_cast<int>(inner)) == 1 &&
         EVP_CipherFinal_ex(context, text + done, &rest) == 1 &&
         EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, static_cast<int>(suite_.tag),
                             text + inner) == 1;
}

bool RecordProtection::openWithId(uint64_t number, uint8_t* fragment, size_t length) {
  EVP_CIPHER_CTX* const context = context_.get();
  const size_t inner = length - suite_.overhead();
  uint8_t* const text = fragment + suite_.explicit_nonce;
  int done = 0, rest = 0;
  // CCM checks the tag with the text, the others at the end: all know it from the beginning.
  const bool opened = EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG,
                                          static_cast<int>(suite_.tag), text + inner) == 1 &&
                      beginWithId(number, fragment, inner) &&
                      EVP_CipherUpdate(context, text, &done, text, static_cast<int>(inner)) == 1;
  return opened &&
         (suite_.kind == AeadKind::Ccm || EVP_CipherFinal_ex(context, text + done, &rest) == 1);
}

}  // namespace mcbn
