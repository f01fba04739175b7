#include "session/session_secrets.h"

#include <openssl/evp.h>
#include <openssl/objects.h>

#include <algorithm>

#include "session/prf.h"

namespace mcbn {
namespace {

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

bool ExporterSecrets::prf(std::string_view label, std::span<const uint8_t> seed,
                          std::span<uint8_t> out) const {
  const PskHash hash = EVP_MD_get_type(hash_) == NID_sha384 ? PskHash::Sha384 : PskHash::Sha256;
  const ByteView parts[] = {{reinterpret_cast<const uint8_t*>(label.data()), label.size()}, seed};
  return tls12Prf(hash, master(), parts, out);
}

}  // namespace mcbn
