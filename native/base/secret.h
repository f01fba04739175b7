// secret.h: key bytes that wipe themselves.
//
// Ownership   a Secret owns its bytes, is moved and never copied by accident: copies say clone().
// Thread      any; a Secret is used by one thread at a time.
// Wiping      OPENSSL_cleanse on destruction, on assignment and on reset(). No Secret ever grows in
//             place, so no reallocation leaves a copy behind.
#pragma once

#include <openssl/crypto.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

namespace mcbn {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::span<const uint8_t> bytes)
      : bytes_(bytes.empty() ? nullptr : new uint8_t[bytes.size()]), size_(bytes.size()) {
    if (size_ > 0) std::memcpy(bytes_.get(), bytes.data(), size_);
  }
  Secret(Secret&& other) noexcept : bytes_(std::move(other.bytes_)), size_(other.size_) {
    other.size_ = 0;
  }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      reset();
      bytes_ = std::move(other.bytes_);
      size_ = other.size_;
      other.size_ = 0;
    }
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { reset(); }

  Secret clone() const { return Secret(view()); }
  void reset() {
    if (bytes_) OPENSSL_cleanse(bytes_.get(), size_);
    bytes_.reset();
    size_ = 0;
  }

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  const uint8_t* data() const { return bytes_.get(); }
  std::span<const uint8_t> view() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<uint8_t[]> bytes_;
  size_t size_ = 0;
};

}  // namespace mcbn
