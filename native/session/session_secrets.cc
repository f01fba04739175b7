#include "session/session_secrets.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/params.h>

#include <algorithm>
#include <memory>

namespace mcbn {
namespace {

// Fetched once, like the ciphers of the record layer.
EVP_MAC* hmac() {
  static EVP_MAC* const mac = EVP_MAC_fetch(nullptr, OSSL_MAC_NAME_HMAC, nullptr);
  return mac;
}

struct FreeMac {
  void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
};

// The HMAC of some parts in a row, with the key that `context` has.
bool macOf(EVP_MAC_CTX* context, std::initializer_list<std::span<const uint8_t>> parts,
           std::span<uint8_t> out) {
  // A null key starts over with the key it already has.
  bool made = EVP_MAC_init(context, nullptr, 0, nullptr) == 1;
  for (const auto part : parts) {
    made = made && EVP_MAC_update(context, part.data(), part.size()) == 1;
  }
  size_t length = 0;
  return made && EVP_MAC_final(context, out.data(), &length, out.size()) == 1;
}

Bytes joined(std::initializer_list<std::span<const uint8_t>> parts) {
  Bytes out;
  for (const auto part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

}  // namespace

const AeadSuite* aeadSuiteOf(const SSL_CIPHER* cipher) {
  if (!cipher) return nullptr;
  const bool short_tag = std::string_view(SSL_CIPHER_get_name(cipher)).ends_with("CCM8");
  switch (SSL_CIPHER_get_cipher_nid(cipher)) {
    case NID_aes_128_gcm:
      return &aead::kAes128Gcm;
    case NID_aes_256_gcm:
      return &aead::kAes256Gcm;
    case NID_aes_128_ccm:
      return short_tag ? &aead::kAes128Ccm8 : &aead::kAes128Ccm;
    case NID_aes_256_ccm:
      return short_tag ? &aead::kAes256Ccm8 : &aead::kAes256Ccm;
    case NID_chacha20_poly1305:
      return &aead::kChaCha20Poly1305;
    default:
      return nullptr;
  }
}

size_t shortestEncrypted(const SSL_CIPHER* cipher) {
  // An IV, and two blocks with a MAC of 20 bytes: never more than a suite can make.
  constexpr size_t kShortestCbc = 48;
  const AeadSuite* const suite = aeadSuiteOf(cipher);
  return suite ? suite->overhead() : kShortestCbc;
}

std::optional<ExporterSecrets> ExporterSecrets::of(const SSL* ssl) {
  const SSL_SESSION* const session = SSL_get_session(ssl);
  // Pending before ChangeCipherSpec, and forever: nothing is renegotiated.
  const SSL_CIPHER* const cipher = SSL_get_pending_cipher(ssl);
  if (!session || !cipher) return std::nullopt;
  std::array<uint8_t, kMaster + 2 * kRandom> bytes;
  const bool all = SSL_SESSION_get_master_key(session, bytes.data(), kMaster) == kMaster &&
                   SSL_get_client_random(ssl, bytes.data() + kMaster, kRandom) == kRandom &&
                   SSL_get_server_random(ssl, bytes.data() + kMaster + kRandom, kRandom) == kRandom;
  std::optional<ExporterSecrets> made;
  const EVP_MD* const hash = SSL_CIPHER_get_handshake_digest(cipher);
  if (all && hash) {
    made.emplace(Secret(bytes), hash, SSL_get_extms_support(const_cast<SSL*>(ssl)) == 1);
  }
  OPENSSL_cleanse(bytes.data(), bytes.size());
  return made;
}

// RFC 5246 section 6.3: client key, server key, client IV, server IV; the randoms in the other
// order than for the master secret.
std::optional<RecordKeys> ExporterSecrets::recordKeys(const AeadSuite& suite, Role role) const {
  MCBN_ASSERT(secret_.size() == kBytes);
  std::array<uint8_t, 2 * (kMaxAeadKeyBytes + kNonceBytes)> block;
  const std::span<uint8_t> wanted = std::span(block).first(2 * (suite.key + suite.fixed_iv));
  std::optional<RecordKeys> keys;
  if (prf("key expansion", joined({serverRandom(), clientRandom()}), wanted)) {
    const auto key = [&](size_t index) {
      return Secret(wanted.subspan(index * suite.key, suite.key));
    };
    const auto iv = [&](size_t index) {
      const auto view = wanted.subspan(2 * suite.key + index * suite.fixed_iv, suite.fixed_iv);
      return Bytes(view.begin(), view.end());
    };
    const size_t ours = role == Role::Client ? 0 : 1;
    keys = RecordKeys{key(ours), key(1 - ours), iv(ours), iv(1 - ours)};
  }
  OPENSSL_cleanse(block.data(), block.size());
  return keys;
}

std::optional<HandshakeKeys> handshakeKeysOf(const SSL* ssl, Role role) {
  const AeadSuite* const suite = aeadSuiteOf(SSL_get_pending_cipher(ssl));
  const auto secrets = suite ? ExporterSecrets::of(ssl) : std::nullopt;
  auto keys = secrets ? secrets->recordKeys(*suite, role) : std::nullopt;
  if (!keys) return std::nullopt;
  return HandshakeKeys{*suite, std::move(*keys)};
}

bool ExporterSecrets::exportKeyingMaterial(std::string_view label,
                                           std::optional<std::span<const uint8_t>> context,
                                           std::span<uint8_t> out) const {
  if (!extended_) return false;
  // RFC 5705 section 4: labels of the handshake itself would give away its secrets.
  for (const std::string_view reserved : {"client finished", "server finished", "master secret",
                                          "extended master secret", "key expansion"}) {
    if (label == reserved) return false;
  }
  Bytes seed = joined({clientRandom(), serverRandom()});
  if (context) {
    if (context->size() > 0xffff) return false;
    Writer(seed).u16(context->size()).bytes(*context);
  }
  return prf(label, seed, out);
}

// P_hash of RFC 5246 section 5. EVP_KDF's "TLS1-PRF" does the same in 5 us, most of them spent on
// looking HMAC and digest up; every handshake needs it once.
bool ExporterSecrets::prf(std::string_view label, std::span<const uint8_t> seed,
                          std::span<uint8_t> out) const {
  const std::unique_ptr<EVP_MAC_CTX, FreeMac> context(hmac() ? EVP_MAC_CTX_new(hmac()) : nullptr);
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                       const_cast<char*>(EVP_MD_get0_name(hash_)), 0),
      OSSL_PARAM_construct_end(),
  };
  if (!context || EVP_MAC_init(context.get(), master().data(), master().size(), params) != 1) {
    return false;
  }
  const std::span<const uint8_t> name(reinterpret_cast<const uint8_t*>(label.data()), label.size());
  std::array<uint8_t, EVP_MAX_MD_SIZE> a_bytes, block_bytes;
  const auto size = static_cast<size_t>(EVP_MD_get_size(hash_));
  const std::span<uint8_t> a = std::span(a_bytes).first(size);
  const std::span<uint8_t> block = std::span(block_bytes).first(size);
  bool made = macOf(context.get(), {name, seed}, a);
  while (made && !out.empty()) {
    made = macOf(context.get(), {a, name, seed}, block);
    const size_t taken = std::min(out.size(), size);
    std::copy_n(block.begin(), taken, out.begin());
    out = out.subspan(taken);
    if (!out.empty()) made = made && macOf(context.get(), {a}, a);
  }
  OPENSSL_cleanse(a_bytes.data(), a_bytes.size());
  OPENSSL_cleanse(block_bytes.data(), block_bytes.size());
  return made;
}

}  // namespace mcbn
