// aead_suite.h: the AEADs of DTLS 1.2 suites with a pre-shared key, as a record layer sees them.
//
// Spec   RFC 5288 and RFC 5487 (GCM), RFC 6655 (CCM, CCM_8), RFC 7905 (ChaCha20-Poly1305);
//        limits: RFC 9147 section 4.5.3.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mcbn {

enum class AeadKind : uint8_t { Gcm, Ccm, ChaCha };

struct AeadSuite {
  AeadKind kind;
  size_t key;             // bytes
  size_t fixed_iv;        // bytes of the key block that begin (or, ChaCha20, mask) every nonce
  size_t explicit_nonce;  // bytes in front of the ciphertext
  size_t tag;             // bytes behind it
  // Cipher blocks that may be protected under one key. RFC 9147 counts records of 2^10 blocks
  // (2^24.5 of them for GCM, 2^23 for CCM); shorter records use the key up more slowly.
  uint64_t blocks;

  size_t overhead() const { return explicit_nonce + tag; }
};

// What every nonce has: 12 bytes (RFC 5116 section 5.1).
constexpr size_t kNonceBytes = 12;
constexpr size_t kMaxAeadKeyBytes = 32;

namespace aead {

constexpr uint64_t kGcmBlocks = 24'296'004'000;     // 2^24.5 records of 2^10 blocks
constexpr uint64_t kCcmBlocks = uint64_t{1} << 33;  // 2^23 records of 2^10 blocks
constexpr uint64_t kChaChaBlocks = UINT64_MAX;      // the sequence number ends first

constexpr AeadSuite kAes128Gcm{AeadKind::Gcm, 16, 4, 8, 16, kGcmBlocks};
constexpr AeadSuite kAes256Gcm{AeadKind::Gcm, 32, 4, 8, 16, kGcmBlocks};
constexpr AeadSuite kAes128Ccm{AeadKind::Ccm, 16, 4, 8, 16, kCcmBlocks};
constexpr AeadSuite kAes256Ccm{AeadKind::Ccm, 32, 4, 8, 16, kCcmBlocks};
constexpr AeadSuite kAes128Ccm8{AeadKind::Ccm, 16, 4, 8, 8, kCcmBlocks};
constexpr AeadSuite kAes256Ccm8{AeadKind::Ccm, 32, 4, 8, 8, kCcmBlocks};
constexpr AeadSuite kChaCha20Poly1305{AeadKind::ChaCha, 32, 12, 0, 16, kChaChaBlocks};

}  // namespace aead
}  // namespace mcbn
