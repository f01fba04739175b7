#include "record/ciphers.h"

#include <openssl/evp.h>

namespace mcbn {
namespace {

const EVP_CIPHER* fetched(const char* name) { return EVP_CIPHER_fetch(nullptr, name, nullptr); }

}  // namespace

void FreeCipherContext::operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }

const EVP_CIPHER* aeadCipher(AeadKind kind, size_t key) {
  static const EVP_CIPHER* const aes128gcm = fetched("AES-128-GCM");
  static const EVP_CIPHER* const aes256gcm = fetched("AES-256-GCM");
  static const EVP_CIPHER* const aes128ccm = fetched("AES-128-CCM");
  static const EVP_CIPHER* const aes256ccm = fetched("AES-256-CCM");
  static const EVP_CIPHER* const chacha = fetched("ChaCha20-Poly1305");
  const bool long_key = key == 32;
  switch (kind) {
    case AeadKind::Gcm:
      return long_key ? aes256gcm : aes128gcm;
    case AeadKind::Ccm:
      return long_key ? aes256ccm : aes128ccm;
    case AeadKind::ChaCha:
      return chacha;
  }
  return nullptr;
}

const EVP_CIPHER* chaCha20Cipher() {
  static const EVP_CIPHER* const chacha = fetched("ChaCha20");
  return chacha;
}

CipherContext aesBlocks(ByteView key, AesUse use) {
  static const EVP_CIPHER* const aes128 = fetched("AES-128-ECB");
  static const EVP_CIPHER* const aes256 = fetched("AES-256-ECB");
  const EVP_CIPHER* const cipher = key.size() == 16 ? aes128 : key.size() == 32 ? aes256 : nullptr;
  CipherContext context(cipher ? EVP_CIPHER_CTX_new() : nullptr);
  const int encrypt = use == AesUse::Encrypt ? 1 : 0;
  if (!context ||
      EVP_CipherInit_ex(context.get(), cipher, nullptr, key.data(), nullptr, encrypt) != 1 ||
      EVP_CIPHER_CTX_set_padding(context.get(), 0) != 1) {
    context.reset();
  }
  return context;
}

}  // namespace mcbn
