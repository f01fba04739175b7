#include "session/prf.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <array>
#include <memory>

namespace mcbn {
namespace {

struct FreeMac {
  void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
};
using Mac = std::unique_ptr<EVP_MAC_CTX, FreeMac>;

Mac withoutKey(const char* digest) {
  EVP_MAC* const hmac = EVP_MAC_fetch(nullptr, OSSL_MAC_NAME_HMAC, nullptr);
  Mac made(hmac ? EVP_MAC_CTX_new(hmac) : nullptr);
  EVP_MAC_free(hmac);
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, const_cast<char*>(digest), 0),
      OSSL_PARAM_construct_end(),
  };
  if (made && EVP_MAC_CTX_set_params(made.get(), params) != 1) made.reset();
  return made;
}

// A copy of one that knows its digest and has had no key: nothing needs to be looked up. The patterns are
// never freed: an I/O thread may be in a handshake while the process ends.
Mac hmacWith(PskHash hash, ByteView key) {
  static const EVP_MAC_CTX* const sha256 = withoutKey("SHA256").release();
  static const EVP_MAC_CTX* const sha384 = withoutKey("SHA384").release();
  const EVP_MAC_CTX* const pattern = hash == PskHash::Sha384 ? sha384 : sha256;
  Mac made(pattern ? EVP_MAC_CTX_dup(pattern) : nullptr);
  if (made && EVP_MAC_init(made.get(), key.data(), key.size(), nullptr) != 1) made.reset();
  return made;
}

// The HMAC of `first` and `rest`, with the key that `context` has.
bool macOf(EVP_MAC_CTX* context, ByteView first, std::span<const ByteView> rest,
           std::span<uint8_t> out) {
  // A null key starts over with the key it already has.
  bool made = EVP_MAC_init(context, nullptr, 0, nullptr) == 1 &&
              EVP_MAC_update(context, first.data(), first.size()) == 1;
  for (const ByteView part : rest) {
    made = made && EVP_MAC_update(context, part.data(), part.size()) == 1;
  }
  size_t length = 0;
  return made && EVP_MAC_final(context, out.data(), &length, out.size()) == 1;
}

}  // namespace

bool tls12Prf(PskHash hash, ByteView secret, std::span<const ByteView> seed,
              std::span<uint8_t> out) {
  if (secret.empty()) return false;
  const Mac context = hmacWith(hash, secret);
  if (!context) return false;
  std::array<uint8_t, EVP_MAX_MD_SIZE> a_bytes{}, block_bytes{};
  const size_t size = hash == PskHash::Sha384 ? 48 : 32;
  const std::span<uint8_t> a = std::span(a_bytes).first(size);
  const std::span<uint8_t> block = std::span(block_bytes).first(size);
  bool made = macOf(context.get(), {}, seed, a);
  while (made && !out.empty()) {
    made = macOf(context.get(), a, seed, block);
    const size_t taken = std::min(out.size(), size);
    std::copy_n(block.begin(), taken, out.begin());
    out = out.subspan(taken);
    if (!out.empty()) made = made && macOf(context.get(), a, {}, a);
  }
  OPENSSL_cleanse(a_bytes.data(), a_bytes.size());
  OPENSSL_cleanse(block_bytes.data(), block_bytes.size());
  return made;
}

}  // namespace mcbn
