#include "dtls13/hkdf.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

namespace mcbn::dtls13 {
namespace {

constexpr size_t kMaxBlockBytes = 128;  // SHA-384's

struct FreeDigest {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// Fetched once: every later use is a pointer. Never freed, like the provider it comes from.
const EVP_MD* digestFor(PskHash hash) {
  static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  static const EVP_MD* const sha384 = EVP_MD_fetch(nullptr, "SHA384", nullptr);
  return hash == PskHash::Sha384 ? sha384 : sha256;
}

// Bytes on the stack that were secret.
template <size_t kMost>
struct Scratch {
  std::array<uint8_t, kMost> bytes{};
  ~Scratch() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
  MutableBytes first(size_t count) { return std::span(bytes).first(count); }
};

// One hash after another, in one context.
class Hashing {
 public:
  explicit Hashing(PskHash hash) : digest_(digestFor(hash)), context_(EVP_MD_CTX_new()) {}

  bool of(ByteView first, std::initializer_list<ByteView> parts, uint8_t* out) {
    bool made = digest_ && context_ && EVP_DigestInit_ex2(context_.get(), digest_, nullptr) == 1 &&
                update(first);
    for (const ByteView part : parts) made = made && update(part);
    return made && EVP_DigestFinal_ex(context_.get(), out, nullptr) == 1;
  }

 private:
  bool update(ByteView part) {
    return part.empty() || EVP_DigestUpdate(context_.get(), part.data(), part.size()) == 1;
  }

  const EVP_MD* digest_;
  std::unique_ptr<EVP_MD_CTX, FreeDigest> context_;
};

// RFC 2104, on EVP's digest: EVP_MAC does the same in twice the time, which it spends on looking the
// digest up and on allocating; a handshake makes some thirty of these.
bool hmacInto(PskHash hash, ByteView key, std::initializer_list<ByteView> parts, uint8_t* out) {
  const size_t block = hash == PskHash::Sha384 ? 128 : 64;
  Hashing hashing(hash);
  Scratch<kMaxBlockBytes> pad;
  if (key.size() > block) {
    if (!hashing.of(key, {}, pad.bytes.data())) return false;
  } else {
    std::ranges::copy(key, pad.bytes.begin());
  }
  for (uint8_t& byte : pad.first(block)) byte ^= 0x36;
  if (!hashing.of(pad.first(block), parts, out)) return false;
  for (uint8_t& byte : pad.first(block)) byte ^= 0x36 ^ 0x5c;
  return hashing.of(pad.first(block), {ByteView(out, hashBytes(hash))}, out);
}

}  // namespace

Bytes digestOf(PskHash hash, std::initializer_list<ByteView> parts) {
  Bytes out(hashBytes(hash));
  if (!Hashing(hash).of({}, parts, out.data())) return {};
  return out;
}

Secret hmacOf(PskHash hash, ByteView key, std::initializer_list<ByteView> parts) {
  Scratch<kMaxHashBytes> made;
  if (!hmacInto(hash, key, parts, made.bytes.data())) return {};
  return Secret(made.first(hashBytes(hash)));
}

Secret hkdfExtract(PskHash hash, ByteView salt, ByteView secret) {
  // An HMAC's key is filled up with zeros: an empty salt is HashLen of them.
  return secret.empty() ? Secret() : hmacOf(hash, salt, {secret});
}

Secret hkdfExpandLabel(PskHash hash, ByteView secret, std::string_view label, ByteView context,
                       size_t length, std::string_view prefix) {
  constexpr size_t kMost = 255;  // of a vector with one byte of length, and of HKDF's blocks
  const size_t size = hashBytes(hash);
  if (secret.empty() || length == 0 || length > kMost * size ||
      prefix.size() + label.size() > kMost || context.size() > kMost) {
    return {};
  }
  // struct HkdfLabel, and HKDF-Expand's counter behind it.
  std::array<uint8_t, 2 + 1 + kMost + 1 + kMost + 1> info;
  uint8_t* end = putBigEndian(info.data(), length, 2);
  end = putBigEndian(end, prefix.size() + label.size(), 1);
  end = std::ranges::copy(prefix, end).out;
  end = std::ranges::copy(label, end).out;
  end = putBigEndian(end, context.size(), 1);
  end = std::ranges::copy(context, end).out;
  uint8_t* const counter = end++;

  Scratch<kMaxHashBytes> block;
  if (length <= size) {  // all but a long exporter value
    *counter = 1;
    if (!hmacInto(hash, secret, {{info.data(), end}}, block.bytes.data())) return {};
    return Secret(block.first(length));
  }
  Bytes out(length);
  bool made = true;
  for (size_t at = 0; made && at < length; at += size) {
    *counter = static_cast<uint8_t>(at / size + 1);
    const ByteView before = block.first(at == 0 ? 0 : size);
    made = hmacInto(hash, secret, {before, {info.data(), end}}, block.bytes.data());
    std::copy_n(block.bytes.begin(), std::min(size, length - at),
                out.begin() + static_cast<ptrdiff_t>(at));
  }
  Secret value = made ? Secret(out) : Secret();
  OPENSSL_cleanse(out.data(), out.size());
  return value;
}

bool equalSecrets(ByteView a, ByteView b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace mcbn::dtls13
