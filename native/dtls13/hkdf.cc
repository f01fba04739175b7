#include "dtls13/hkdf.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <array>

namespace mcbn::dtls13 {
namespace {

// struct HkdfLabel of RFC 8446 section 7.1, and room for HKDF-Expand's counter behind it.
class Label {
 public:
  Label(std::string_view prefix, std::string_view label, ByteView context, size_t length) {
    uint8_t* end = putBigEndian(bytes_.data(), length, 2);
    end = putBigEndian(end, prefix.size() + label.size(), 1);
    end = std::ranges::copy(prefix, end).out;
    end = std::ranges::copy(label, end).out;
    end = putBigEndian(end, context.size(), 1);
    counter_ = std::ranges::copy(context, end).out;
  }
  ByteView numbered(size_t block) {
    *counter_ = static_cast<uint8_t>(block);
    return {bytes_.data(), counter_ + 1};
  }

  // Of a vector with one byte of length, and of HKDF's blocks.
  static constexpr size_t kMost = 255;

 private:
  std::array<uint8_t, 2 + 1 + kMost + 1 + kMost + 1> bytes_;
  uint8_t* counter_;
};

// HKDF-Expand-Label, by `mac(parts, out)`: an HMAC under the secret.
template <typename Mac>
Secret expanded(PskHash hash, std::string_view prefix, std::string_view label, ByteView context,
                size_t length, Mac mac) {
  const size_t size = hashBytes(hash);
  if (length == 0 || length > Label::kMost * size || prefix.size() + label.size() > Label::kMost ||
      context.size() > Label::kMost) {
    return {};
  }
  Label info(prefix, label, context, length);
  Scratch<kMaxHashBytes> block;
  if (length <= size) {  // all but a long exporter value
    if (!mac({info.numbered(1)}, block.bytes.data())) return {};
    return Secret(block.first(length));
  }
  Bytes out(length);
  bool made = true;
  for (size_t at = 0; made && at < length; at += size) {
    const ByteView before = block.first(at == 0 ? 0 : size);
    made = mac({before, info.numbered(at / size + 1)}, block.bytes.data());
    std::copy_n(block.bytes.begin(), std::min(size, length - at),
                out.begin() + static_cast<ptrdiff_t>(at));
  }
  Secret value = made ? Secret(out) : Secret();
  OPENSSL_cleanse(out.data(), out.size());
  return value;
}

}  // namespace

Secret hkdfExtract(PskHash hash, ByteView salt, ByteView secret) {
  // An HMAC's key is filled up with zeros: an empty salt is HashLen of them.
  return secret.empty() ? Secret() : hmacOf(hash, salt, {secret});
}

Secret hkdfExpandLabel(PskHash hash, ByteView secret, std::string_view label, ByteView context,
                       size_t length, std::string_view prefix) {
  if (secret.empty()) return {};
  return expanded(hash, prefix, label, context, length,
                  [&](Parts parts, uint8_t* out) { return hmac(hash, secret, parts, out); });
}

Expander::Expander(PskHash hash, ByteView secret, std::string_view prefix)
    : hash_(hash), prefix_(prefix) {
  if (!secret.empty()) mac_.emplace(hash, secret);
}

Secret Expander::expand(std::string_view label, ByteView context, size_t length) const {
  if (empty()) return {};
  return expanded(hash_, prefix_, label, context, length,
                  [&](Parts parts, uint8_t* out) { return mac_->of(parts, out); });
}

bool equalSecrets(ByteView a, ByteView b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace mcbn::dtls13
