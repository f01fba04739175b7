// dtls13_record_pair.h: two ends of an association in epoch 3, and one who has its keys and makes
// records with OpenSSL's primitives alone.
#pragma once

#include <doctest/doctest.h>
#include <openssl/evp.h>

#include <vector>

#include "dtls13/records.h"
#include "record/dtls_record.h"
#include "wire.h"

namespace mcbn::dtls13 {

constexpr uint8_t kData = content_type::kApplicationData;

// Ours write what theirs read. With an ID all records have it.
struct Pair {
  explicit Pair(const Suite& with, Bytes id = {}) : suite(with) {
    REQUIRE(ours.startWriting(3, suite, secret()));
    REQUIRE(theirs.startReading(3, suite, secret()));
    if (id.empty()) return;
    ours.setPeerId(id);
    theirs.setOwnIds({id});
  }
  Secret secret(uint64_t fill = 3) const {
    return Secret(Bytes(hashBytes(suite.hash), static_cast<uint8_t>(fill)));
  }
  Bytes seal(ByteView content, uint8_t type = kData) {
    Bytes datagram;
    REQUIRE(ours.seal(3, type, content, datagram).has_value());
    return datagram;
  }
  // The content of the datagram's only record.
  std::optional<Bytes> open(Bytes datagram) {
    RecordTrain incoming{MutableBytes(datagram)};
    const auto record = theirs.next(incoming);
    if (!record) return std::nullopt;
    return Bytes(record->content.begin(), record->content.end());
  }

  const Suite& suite;
  Records ours, theirs;
};

// Makes any record of epoch 3: any number, any inner plaintext. Shares no code with Records beyond
// the key schedule.
class Forger {
 public:
  Forger(const Suite& suite, const Secret& secret)
      : suite_(suite), keys_(trafficKeysOf(suite, secret)) {}

  Bytes record(uint64_t number, Bytes inner, size_t zeros, const Bytes& id = {}) {
    inner.resize(inner.size() + zeros);
    Bytes header;
    Writer writer(header);
    writer.u8(0x20u | (id.empty() ? 0 : 0x10u) | (form.long_number ? 8u : 0) |
              (form.length ? 4u : 0) | 3u);
    writer.bytes(id);
    form.long_number ? writer.u16(number) : writer.u8(number);
    if (form.length) writer.u16(inner.size() + suite_.tag);
    const Bytes encrypted = seal(number, header, inner);
    const Bytes mask = maskOf(encrypted);
    for (size_t i = 0; i < (form.long_number ? 2 : 1); ++i) header[1 + id.size() + i] ^= mask[i];
    return wire::joined({header, encrypted});
  }

  HeaderForm form;

 private:
  Bytes seal(uint64_t number, const Bytes& header, const Bytes& inner) {
    Bytes nonce(4);
    Writer(nonce).u64(number);
    for (size_t i = 0; i < nonce.size(); ++i) nonce[i] ^= keys_.iv.data()[i];
    const bool ccm = suite_.kind == AeadKind::Ccm;
    const EVP_CIPHER* const cipher = ccm                               ? EVP_aes_128_ccm()
                                     : suite_.kind == AeadKind::ChaCha ? EVP_chacha20_poly1305()
                                     : suite_.key == 32                ? EVP_aes_256_gcm()
                                                                       : EVP_aes_128_gcm();
    EVP_CIPHER_CTX* const ctx = EVP_CIPHER_CTX_new();
    Bytes out(inner.size() + suite_.tag);
    int length = 0;
    const int size = static_cast<int>(inner.size()), tag = static_cast<int>(suite_.tag);
    REQUIRE(EVP_EncryptInit_ex(ctx, cipher, nullptr, nullptr, nullptr) == 1);
    REQUIRE(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, 12, nullptr) == 1);
    if (ccm) REQUIRE(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, tag, nullptr) == 1);
    REQUIRE(EVP_EncryptInit_ex(ctx, nullptr, nullptr, keys_.key.data(), nonce.data()) == 1);
    if (ccm) REQUIRE(EVP_EncryptUpdate(ctx, nullptr, &length, nullptr, size) == 1);
    REQUIRE(EVP_EncryptUpdate(ctx, nullptr, &length, header.data(),
                              static_cast<int>(header.size())) == 1);
    REQUIRE(EVP_EncryptUpdate(ctx, out.data(), &length, inner.data(), size) == 1);
    REQUIRE(EVP_EncryptFinal_ex(ctx, out.data() + length, &length) == 1);
    REQUIRE(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, tag, out.data() + size) == 1);
    EVP_CIPHER_CTX_free(ctx);
    return out;
  }

  // RFC 9147 section 4.2.3.
  Bytes maskOf(const Bytes& encrypted) {
    const bool chacha = suite_.kind == AeadKind::ChaCha;
    const EVP_CIPHER* const cipher = chacha             ? EVP_chacha20()
                                     : suite_.key == 32 ? EVP_aes_256_ecb()
                                                        : EVP_aes_128_ecb();
    EVP_CIPHER_CTX* const ctx = EVP_CIPHER_CTX_new();
    Bytes out(32);
    const Bytes zeros(16);
    int length = 0;
    const uint8_t* const sample = encrypted.data();
    REQUIRE(EVP_EncryptInit_ex(ctx, cipher, nullptr, keys_.number.data(),
                               chacha ? sample : nullptr) == 1);
    REQUIRE(EVP_EncryptUpdate(ctx, out.data(), &length, chacha ? zeros.data() : sample, 16) == 1);
    EVP_CIPHER_CTX_free(ctx);
    return out;
  }

  const Suite& suite_;
  const TrafficKeys keys_;
};

}  // namespace mcbn::dtls13
