// session_secrets.h: what the master secret of a finished DTLS 1.2 handshake gives: the record
// layer's keys, and later the exporter. With these OpenSSL's SSL is no longer needed.
//
// Ownership   a DtlsSession owns its ExporterSecrets; keys go to its RecordLayer.
// Spec        RFC 5246 sections 5 (PRF) and 6.3 (key block), RFC 5705 (exporter), RFC 7627
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <optional>
#include <string_view>

#include "base/secret.h"
#include "psk/psk.h"
#include "record/record_layer.h"

namespace mcbn {

// The suite as the record layer knows it; null for those that stay on OpenSSL's (CBC).
const AeadSuite* aeadSuiteOf(const SSL_CIPHER* cipher);

// Bytes that an encrypted fragment of the suite has at least. OpenSSL ends the session over a
// shorter one (internal_error), which anybody can send who knows the addresses, instead of dropping
// it as RFC 6347 section 4.1.2.7 asks.
size_t shortestEncrypted(const SSL_CIPHER* cipher);

class ExporterSecrets {
 public:
  // Takes the master secret and randoms of a handshake whose key exchange is done; nullopt when it
  // is not, or OpenSSL does not tell.
  static std::optional<ExporterSecrets> of(const SSL* ssl);
  // `bytes`: master secret (48), client random (32), server random (32).
  ExporterSecrets(Secret bytes, const EVP_MD* hash, bool extended)
      : secret_(std::move(bytes)), hash_(hash), extended_(extended) {}

  ExporterSecrets(ExporterSecrets&&) = default;
  ExporterSecrets& operator=(ExporterSecrets&&) = default;

  ExporterSecrets clone() const { return {secret_.clone(), hash_, extended_}; }

  // Whether the master secret is bound to the whole handshake (RFC 7627).
  bool extended() const { return extended_; }
  // Master secret (48), client random (32), server random (32).
  std::span<const uint8_t> bytes() const { return secret_.view(); }
  static constexpr size_t kBytes = 48 + 2 * 32;

  std::optional<RecordKeys> recordKeys(const AeadSuite& suite, Role role) const;
  // False without an extended master secret: the value would not be bound to this handshake.
  bool exportKeyingMaterial(std::string_view label, std::optional<std::span<const uint8_t>> context,
                            std::span<uint8_t> out) const;

 private:
  static constexpr size_t kMaster = 48, kRandom = SSL3_RANDOM_SIZE;

  bool prf(std::string_view label, std::span<const uint8_t> seed, std::span<uint8_t> out) const;
  std::span<const uint8_t> master() const { return secret_.view().first(kMaster); }
  std::span<const uint8_t> clientRandom() const { return secret_.view().subspan(kMaster, kRandom); }
  std::span<const uint8_t> serverRandom() const {
    return secret_.view().subspan(kMaster + kRandom);
  }

  Secret secret_;  // master secret, client random, server random
  const EVP_MD* hash_;
  bool extended_;
};

// What the encrypted records of a handshake are protected with.
struct HandshakeKeys {
  const AeadSuite& suite;
  RecordKeys keys;
};

// nullopt: the suite is no AEAD, the key exchange is not done, or OpenSSL does not tell.
std::optional<HandshakeKeys> handshakeKeysOf(const SSL* ssl, Role role);

}  // namespace mcbn
