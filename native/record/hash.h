// hash.h: SHA-2, and HMAC on it: whatever native/ proves or derives by a hash.
//
// EVP looks a digest up by its name for each context that it makes, and HMAC with it ("HMAC", "TLS1-PRF",
// "HKDF"). Here a digest is looked up once, and HMAC is made of two of its contexts, which know the key;
// each message takes copies of them.
//
// Every function says false, or gives an empty result, when OpenSSL refused: it has no memory, or not this
// digest.
//
// Ownership   inputs are borrowed; OpenSSL wipes a context that is freed.
// Thread      of the owner; functions any.
// Spec        FIPS 180-4, RFC 2104
#pragma once

#include <openssl/types.h>

#include <array>
#include <initializer_list>
#include <memory>

#include "base/bytes.h"
#include "base/secret.h"

namespace mcbn {

enum class Hash : uint8_t { Sha256, Sha384 };

constexpr size_t kMaxHashBytes = 48;
constexpr size_t hashBytes(Hash hash) { return hash == Hash::Sha384 ? 48 : 32; }

// A message in parts.
using Parts = std::initializer_list<ByteView>;

// What a hash gave; empty: nothing. Not for secrets.
class HashValue {
 public:
  // `hashed` writes to where it is told, and says whether it did.
  template <typename Hashed>
  HashValue(Hash hash, Hashed hashed) {
    if (hashed(bytes_.data())) size_ = hashBytes(hash);
  }

  const uint8_t* data() const { return bytes_.data(); }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const uint8_t* begin() const { return data(); }
  const uint8_t* end() const { return data() + size(); }

 private:
  std::array<uint8_t, kMaxHashBytes> bytes_;
  size_t size_ = 0;
};

// One message after another.
class Hashing {
 public:
  explicit Hashing(Hash hash);

  // A message begins: with nothing, or with what another one has of its message.
  bool begin();
  bool beginAs(const Hashing& other);
  bool add(ByteView part);
  // hashBytes(): the hash of it. Then another begins.
  bool end(uint8_t* out);
  bool of(Parts parts, uint8_t* out) { return begin() && add(std::span(parts)) && end(out); }
  bool add(std::span<const ByteView> parts);

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const;
  };
  const EVP_MD* digest_;
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

// Of several messages under one key.
class Hmac {
 public:
  Hmac(Hash hash, ByteView key);

  bool usable() const { return usable_; }
  // Bytes of what it gives.
  size_t size() const { return hashBytes(hash_); }
  bool of(ByteView first, std::span<const ByteView> rest, uint8_t* out) const;
  bool of(Parts parts, uint8_t* out) const { return of({}, std::span(parts), out); }

 private:
  Hash hash_;
  Hashing inner_, outer_;
  mutable Hashing work_;
  bool usable_;
};

// Of one message: faster than to prepare a key for it.
bool hmac(Hash hash, ByteView key, Parts parts, uint8_t* out);
Secret hmacOf(Hash hash, ByteView key, Parts parts);

Bytes digestOf(Hash hash, Parts parts);
// Of no bytes at all; never empty itself.
ByteView emptyDigest(Hash hash);

// Bytes on the stack that were secret.
template <size_t kMost>
struct Scratch {
  std::array<uint8_t, kMost> bytes{};
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
  MutableBytes first(size_t count) { return std::span(bytes).first(count); }
};

}  // namespace mcbn
