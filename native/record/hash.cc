#include "record/hash.h"

#include <openssl/evp.h>

#include <algorithm>

namespace mcbn {
namespace {

// Looked up once, and never freed: an I/O thread may be in a handshake while the process ends.
const EVP_MD* digestFor(Hash hash) {
  static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  static const EVP_MD* const sha384 = EVP_MD_fetch(nullptr, "SHA384", nullptr);
  return hash == Hash::Sha384 ? sha384 : sha256;
}

// The two first blocks of RFC 2104 section 2: the key, filled up with zeros, under two masks.
class KeyBlocks {
 public:
  // `hashing`: for a key that is longer than a block.
  KeyBlocks(Hash hash, ByteView key, Hashing& hashing) : size_(hash == Hash::Sha384 ? 128 : 64) {
    if (key.size() > size_) {
      usable_ = hashing.of({key}, block_.bytes.data());
    } else {
      std::ranges::copy(key, block_.bytes.begin());
    }
    mask(0x36);
  }

  bool usable() const { return usable_; }
  ByteView inner() { return block_.first(size_); }
  // Once, behind inner().
  ByteView outer() {
    mask(0x36 ^ 0x5c);
    return block_.first(size_);
  }

 private:
  void mask(uint8_t with) {
    for (uint8_t& byte : block_.bytes) byte ^= with;
  }

  Scratch<128> block_;
  const size_t size_;
  bool usable_ = true;
};

}  // namespace

void Hashing::Free::operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }

Hashing::Hashing(Hash hash) : digest_(digestFor(hash)), context_(EVP_MD_CTX_new()) {}

bool Hashing::begin() {
  return digest_ && context_ && EVP_DigestInit_ex2(context_.get(), digest_, nullptr) == 1;
}

bool Hashing::beginAs(const Hashing& other) {
  return context_ && other.context_ &&
         EVP_MD_CTX_copy_ex(context_.get(), other.context_.get()) == 1;
}

bool Hashing::add(ByteView part) {
  return part.empty() || EVP_DigestUpdate(context_.get(), part.data(), part.size()) == 1;
}

bool Hashing::add(std::span<const ByteView> parts) {
  return std::ranges::all_of(parts, [&](ByteView part) { return add(part); });
}

bool Hashing::end(uint8_t* out) { return EVP_DigestFinal_ex(context_.get(), out, nullptr) == 1; }

Hmac::Hmac(Hash hash, ByteView key) : hash_(hash), inner_(hash), outer_(hash), work_(hash) {
  KeyBlocks blocks(hash, key, work_);
  usable_ = blocks.usable() && inner_.begin() && inner_.add(blocks.inner()) && outer_.begin() &&
            outer_.add(blocks.outer());
}

bool Hmac::of(ByteView first, std::span<const ByteView> rest, uint8_t* out) const {
  return usable_ && work_.beginAs(inner_) && work_.add(first) && work_.add(rest) &&
         work_.end(out) && work_.beginAs(outer_) && work_.add(ByteView(out, size())) &&
         work_.end(out);
}

bool hmac(Hash hash, ByteView key, Parts parts, uint8_t* out) {
  Hashing hashing(hash);
  KeyBlocks blocks(hash, key, hashing);
  return blocks.usable() && hashing.begin() && hashing.add(blocks.inner()) &&
         hashing.add(std::span(parts)) && hashing.end(out) &&
         hashing.of({blocks.outer(), {out, hashBytes(hash)}}, out);
}

Secret hmacOf(Hash hash, ByteView key, Parts parts) {
  Scratch<kMaxHashBytes> made;
  if (!hmac(hash, key, parts, made.bytes.data())) return {};
  return Secret(made.first(hashBytes(hash)));
}

Bytes digestOf(Hash hash, Parts parts) {
  Bytes out(hashBytes(hash));
  if (!Hashing(hash).of(parts, out.data())) return {};
  return out;
}

ByteView emptyDigest(Hash hash) {
  static constexpr uint8_t kSha256[] = {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14,
                                        0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
                                        0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c,
                                        0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55};
  static constexpr uint8_t kSha384[] = {0x38, 0xb0, 0x60, 0xa7, 0x51, 0xac, 0x96, 0x38, 0x4c, 0xd9,
                                        0x32, 0x7e, 0xb1, 0xb1, 0xe3, 0x6a, 0x21, 0xfd, 0xb7, 0x11,
                                        0x14, 0xbe, 0x07, 0x43, 0x4c, 0x0c, 0xc7, 0xbf, 0x63, 0xf6,
                                        0xe1, 0xda, 0x27, 0x4e, 0xde, 0xbf, 0xe7, 0x6f, 0x65, 0xfb,
                                        0xd5, 0x1a, 0xd2, 0xf1, 0x48, 0x98, 0xb9, 0x5b};
  return hash == Hash::Sha384 ? ByteView(kSha384) : ByteView(kSha256);
}

}  // namespace mcbn
