#include "hpke/seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <climits>
#include <optional>
#include <string_view>

#include "base/secret.h"
#include "dtls13/key_exchange.h"
#include "record/ciphers.h"
#include "record/hash.h"

namespace mcbn {
namespace {

constexpr size_t kKeyBytes = 32;
constexpr std::string_view kVersion = "HPKE-v1";
// RFC 9180 sections 4.1 and 5.1: the KEM's number, and those of KEM, KDF and AEAD.
constexpr std::array<uint8_t, 5> kKemSuite{'K', 'E', 'M', 0, 0x20};
constexpr std::array<uint8_t, 10> kHpkeSuite{'H', 'P', 'K', 'E', 0, 0x20, 0, 1, 0, 2};

ByteView viewOf(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// RFC 9180 section 4. An empty secret stays empty: the caller looks once, at the end.
class Labeled {
 public:
  explicit constexpr Labeled(ByteView suite) : suite_(suite) {}

  Secret extract(ByteView salt, std::string_view label, ByteView ikm) const {
    return hmacOf(Hash::Sha256, salt, {viewOf(kVersion), suite_, viewOf(label), ikm});
  }

  // At most 32 bytes: the first block of HKDF-Expand (RFC 5869 section 2.3), and no second.
  Secret expand(const Secret& prk, std::string_view label, ByteView info, uint8_t length) const {
    if (prk.empty()) return {};
    const std::array<uint8_t, 2> size{0, length};
    const std::array<uint8_t, 1> counter{1};
    const Secret block = hmacOf(Hash::Sha256, prk.view(),
                                {size, viewOf(kVersion), suite_, viewOf(label), info, counter});
    return block.empty() ? Secret() : Secret(block.view().first(length));
  }

 private:
  ByteView suite_;
};

// `out` has room for the plaintext and the tag.
bool encrypt(const Secret& key, const Secret& nonce, const HpkeMessage& message, uint8_t* out) {
  const EVP_CIPHER* const gcm = aeadCipher(AeadKind::Gcm, kKeyBytes);
  const CipherContext context(EVP_CIPHER_CTX_new());
  if (!context || !gcm || key.empty() || nonce.empty() || message.plaintext.size() > INT_MAX ||
      message.aad.size() > INT_MAX ||
      EVP_EncryptInit_ex2(context.get(), gcm, key.data(), nonce.data(), nullptr) != 1) {
    return false;
  }
  const auto update = [&](uint8_t* into, ByteView bytes) {
    int length = 0;
    return bytes.empty() || EVP_EncryptUpdate(context.get(), into, &length, bytes.data(),
                                              static_cast<int>(bytes.size())) == 1;
  };
  int length = 0;
  uint8_t* const tag = out + message.plaintext.size();
  return update(nullptr, message.aad) && update(out, message.plaintext) &&
         EVP_EncryptFinal_ex(context.get(), tag, &length) == 1 &&
         EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kHpkeTagBytes, tag) == 1;
}

// Empty: the key is none.
struct Encapsulated {
  Bytes enc;
  Secret shared;
};
Encapsulated encapsulated(ByteView public_key) {
  constexpr Labeled kem{kKemSuite};
  std::optional<dtls13::KeyAnswer> exchanged =
      dtls13::answerKeyShare(dtls13::Group::X25519, public_key);
  if (!exchanged) return {};
  Bytes context = exchanged->share;
  context.insert(context.end(), public_key.begin(), public_key.end());
  const Secret prk = kem.extract({}, "eae_prk", exchanged->shared_secret.view());
  return {.enc = std::move(exchanged->share),
          .shared = kem.expand(prk, "shared_secret", context, kKeyBytes)};
}

bool sealInto(const HpkeMessage& message, MutableBytes out) {
  constexpr Labeled suite{kHpkeSuite};
  const Encapsulated kem = encapsulated(message.public_key);
  const Secret no_psk = suite.extract({}, "psk_id_hash", {});
  const Secret info = suite.extract({}, "info_hash", message.info);
  if (kem.shared.empty() || no_psk.empty() || info.empty()) return false;
  Bytes context{0};  // base mode
  Writer(context).bytes(no_psk.view()).bytes(info.view());

  const Secret secret = suite.extract(kem.shared.view(), "secret", {});
  const Secret key = suite.expand(secret, "key", context, kKeyBytes);
  const Secret nonce = suite.expand(secret, "base_nonce", context, kNonceBytes);
  const Secret exporter = suite.expand(secret, "exp", context, kHpkeExportBytes);
  uint8_t* const ciphertext = std::ranges::copy(kem.enc, out.data()).out;
  if (!encrypt(key, nonce, message, ciphertext)) return false;
  uint8_t* end = ciphertext + message.plaintext.size() + kHpkeTagBytes;
  for (const std::string& about : message.exports) {
    const Secret made = suite.expand(exporter, "sec", viewOf(about), kHpkeExportBytes);
    if (made.empty()) return false;
    end = std::ranges::copy(made.view(), end).out;
  }
  return true;
}

}  // namespace

size_t hpkeSealedBytes(const HpkeMessage& message) {
  return kHpkeKeyBytes + message.plaintext.size() + kHpkeTagBytes +
         kHpkeExportBytes * message.exports.size();
}

bool hpkeSeal(const HpkeMessage& message, MutableBytes out) {
  if (out.size() == hpkeSealedBytes(message) && sealInto(message, out)) return true;
  OPENSSL_cleanse(out.data(), out.size());
  return false;
}

}  // namespace mcbn
