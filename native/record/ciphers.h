// ciphers.h: the ciphers that native/ has of OpenSSL, each looked up once by its name.
//
// Null: the running OpenSSL does not have it.
//
// Ownership   never freed, like the provider that they come from: an I/O thread may be at work while the
//             process ends.
// Thread      any.
#pragma once

#include <openssl/types.h>

#include <memory>

#include "base/bytes.h"
#include "record/aead_suite.h"

namespace mcbn {

struct FreeCipherContext {
  void operator()(EVP_CIPHER_CTX* context) const;
};
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, FreeCipherContext>;

// `key`: its bytes, 16 or 32. ChaCha20-Poly1305 has 32.
const EVP_CIPHER* aeadCipher(AeadKind kind, size_t key);
const EVP_CIPHER* chaCha20Cipher();
// A context for AES of single blocks, without padding; null also if the key has neither 16 nor 32 bytes.
enum class AesUse : uint8_t { Encrypt, Decrypt };
CipherContext aesBlocks(ByteView key, AesUse use = AesUse::Encrypt);

}  // namespace mcbn
