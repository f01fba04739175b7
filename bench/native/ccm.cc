// Nanoseconds per record of AES-CCM-8: by EVP's CCM as libssl uses it, one after the other, and by
// CcmBatch, n at a time.
//   cmake --build <dir> --target bench_ccm && <dir>/bench_ccm
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <vector>

#include "record/ccm_batch.h"

using namespace mcbn;

namespace {

constexpr size_t kNonce = 12, kTag = 8, kExplicit = 8, kFixed = 4, kAdditional = 13;
constexpr size_t kRecords = 64;

template <typename Work>
double nanoseconds(size_t records, Work work) {
  using Clock = std::chrono::steady_clock;
  double best = 1e12;
  for (int run = 0; run < 7; run++) {
    const auto start = Clock::now();
    size_t done = 0;
    while (Clock::now() - start < std::chrono::milliseconds(8)) {
      work();
      done += records;
    }
    const std::chrono::duration<double, std::nano> taken = Clock::now() - start;
    best = std::min(best, taken.count() / static_cast<double>(done));
  }
  return best;
}

double byEvp(ByteView key, size_t length, std::vector<Bytes>& records) {
  EVP_CIPHER* const cipher =
      EVP_CIPHER_fetch(nullptr, key.size() == 16 ? "AES-128-CCM" : "AES-256-CCM", nullptr);
  EVP_CIPHER_CTX* const context = EVP_CIPHER_CTX_new();
  uint8_t fixed[kFixed] = {1, 2, 3, 4};
  EVP_EncryptInit_ex(context, cipher, nullptr, nullptr, nullptr);
  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, kNonce, nullptr);
  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTag, nullptr);
  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_CCM_SET_IV_FIXED, kFixed, fixed);
  EVP_EncryptInit_ex(context, nullptr, nullptr, key.data(), nullptr);
  const double taken = nanoseconds(records.size(), [&] {
    for (Bytes& record : records) {
      uint8_t data[EVP_AEAD_TLS1_AAD_LEN] = {};
      data[11] = static_cast<uint8_t>((length + kExplicit) >> 8);
      data[12] = static_cast<uint8_t>(length + kExplicit);
      const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_octet_string(
                                           OSSL_CIPHER_PARAM_AEAD_TLS1_AAD, data, sizeof data),
                                       OSSL_PARAM_construct_end()};
      EVP_CIPHER_CTX_set_params(context, parameters);
      EVP_Cipher(context, record.data(), record.data(),
                 static_cast<unsigned>(length + kExplicit + kTag));
    }
  });
  EVP_CIPHER_CTX_free(context);
  EVP_CIPHER_free(cipher);
  return taken;
}

double byBatch(ByteView key, size_t length, size_t width, std::vector<Bytes>& records,
               bool opening) {
  const CipherContext context = aesBlocks(key);
  CcmBatch batch(context.get(), kNonce, kTag);
  const Bytes nonce(kNonce, 7), additional(kAdditional, 9);
  std::vector<CcmMessage> messages;
  for (Bytes& record : records) {
    uint8_t* const text = record.data() + kExplicit;
    messages.push_back({nonce, additional, {text, length}, text + length});
  }
  const double taken = nanoseconds(records.size(), [&] {
    for (std::span<CcmMessage> rest(messages); !rest.empty();) {
      const auto some = rest.first(std::min(width, rest.size()));
      // Not authentic after the first time, and then wiped as well: that is measured with sealing.
      (void)(opening ? batch.open(some) : batch.seal(some));
      rest = rest.subspan(some.size());
    }
  });
  return taken;
}

}  // namespace

int main() {
  for (const size_t key_bytes : {size_t{16}, size_t{32}}) {
    const Bytes key(key_bytes, 0x42);
    std::printf("AES-%zu-CCM-8, ns per record\n%8s%8s", key_bytes * 8, "bytes", "EVP");
    for (const int width : {1, 2, 3, 4, 8, 16, 32, 64}) std::printf("%7s%-3d", "n = ", width);
    std::printf("\n");
    for (const size_t length : {16, 64, 100, 200, 300, 500, 1200, 4000, 16384}) {
      std::vector<Bytes> records(kRecords, Bytes(length + kExplicit + kTag));
      std::printf("%8zu%8.0f", length, byEvp(key, length, records));
      for (const size_t width : {1, 2, 3, 4, 8, 16, 32, 64}) {
        std::printf("%10.0f", byBatch(key, length, width, records, false));
      }
      std::printf("\n");
    }
  }
  return 0;
}
