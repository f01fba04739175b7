// suite.h: the cipher suites of DTLS 1.3, as key schedule and records see them.
//
// Spec   RFC 8446 appendix B.4 (suites), RFC 9147 section 4.5.3 and appendix B (limits)
#pragma once

#include <cstddef>
#include <cstdint>

#include "psk/psk.h"
#include "record/aead_suite.h"

namespace mcbn::dtls13 {

struct Suite {
  uint16_t id;
  const char* name;
  PskHash hash;
  AeadKind kind;
  size_t key;  // bytes; the key of record numbers has as many
  size_t tag;  // bytes
  // Cipher blocks that may be protected under one key, see AeadSuite.
  uint64_t blocks;
  // Records that may fail to authenticate under one key.
  uint64_t forgeries;
  // Offered and taken without being named. RFC 9147 section 4.5.3: CCM_8 MUST NOT be, because no
  // limit both stops forgers and lets honest peers alone.
  bool by_default;
};

namespace suite {

constexpr uint64_t kManyForgeries = uint64_t{1} << 36;
constexpr Suite kAes128Gcm{0x1301, "TLS_AES_128_GCM_SHA256", PskHash::Sha256, AeadKind::Gcm, 16,
                           16,     aead::kGcmBlocks,         kManyForgeries,  true};
constexpr Suite kAes256Gcm{0x1302, "TLS_AES_256_GCM_SHA384", PskHash::Sha384, AeadKind::Gcm, 32,
                           16,     aead::kGcmBlocks,         kManyForgeries,  true};
constexpr Suite kChaCha20Poly1305{0x1303,
                                  "TLS_CHACHA20_POLY1305_SHA256",
                                  PskHash::Sha256,
                                  AeadKind::ChaCha,
                                  32,
                                  16,
                                  aead::kChaChaBlocks,
                                  kManyForgeries,
                                  true};
// 2^23.5.
constexpr Suite kAes128Ccm{0x1304, "TLS_AES_128_CCM_SHA256", PskHash::Sha256, AeadKind::Ccm, 16,
                           16,     aead::kCcmBlocks,         11'863'283,      true};
// 2^7: then one of them is authentic with a probability of 2^-57 at most.
constexpr Suite kAes128Ccm8{0x1305,
                            "TLS_AES_128_CCM_8_SHA256",
                            PskHash::Sha256,
                            AeadKind::Ccm,
                            16,
                            8,
                            aead::kCcmBlocks,
                            128,
                            false};

}  // namespace suite

constexpr const Suite* kSuites[] = {&suite::kAes128Gcm, &suite::kAes256Gcm,
                                    &suite::kChaCha20Poly1305, &suite::kAes128Ccm,
                                    &suite::kAes128Ccm8};

// Null: none of ours.
constexpr const Suite* suiteOf(uint16_t id) {
  for (const Suite* const suite : kSuites) {
    if (suite->id == id) return suite;
  }
  return nullptr;
}

}  // namespace mcbn::dtls13
