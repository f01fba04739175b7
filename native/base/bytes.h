// bytes.h: views on bytes, and bounds-checked big-endian reading and writing.
//
// Everything that comes from the network is read through Reader: a length that lies makes a read
// fail, never overrun. A view borrows: its bytes must outlive it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/assert.h"

namespace mcbn {

using ByteView = std::span<const uint8_t>;
using MutableBytes = std::span<uint8_t>;
using Bytes = std::vector<uint8_t>;

// The one place where a number becomes bytes: its lowest `width` bytes, most significant first.
// Returns the end of what was written.
constexpr uint8_t* putBigEndian(uint8_t* out, uint64_t value, size_t width) {
  MCBN_ASSERT(width <= sizeof value);
  for (size_t i = width; i > 0; --i) *out++ = static_cast<uint8_t>(value >> (8 * (i - 1)));
  return out;
}

// Reads from the front of a view. Every read says whether it succeeded; a failed read consumes
// nothing and leaves its output as it was.
class Reader {
 public:
  explicit constexpr Reader(ByteView bytes) : rest_(bytes) {}

  [[nodiscard]] constexpr bool u8(uint8_t& out) { return number<1>(out); }
  [[nodiscard]] constexpr bool u16(uint16_t& out) { return number<2>(out); }
  [[nodiscard]] constexpr bool u24(uint32_t& out) { return number<3>(out); }
  [[nodiscard]] constexpr bool u32(uint32_t& out) { return number<4>(out); }
  [[nodiscard]] constexpr bool u48(uint64_t& out) { return number<6>(out); }
  [[nodiscard]] constexpr bool u64(uint64_t& out) { return number<8>(out); }

  [[nodiscard]] constexpr bool take(size_t count, ByteView& out) {
    if (count > rest_.size()) return false;
    out = rest_.first(count);
    rest_ = rest_.subspan(count);
    return true;
  }

  // A variable-length integer (RFC 9000 section 16): 1, 2, 4 or 8 bytes. No shortest form is asked
  // for.
  [[nodiscard]] constexpr bool variable(uint64_t& out) {
    if (rest_.empty()) return false;
    const size_t width = size_t{1} << (rest_[0] >> 6);
    if (rest_.size() < width) return false;
    uint64_t value = rest_[0] & 0x3f;
    for (size_t i = 1; i < width; i++) value = value << 8 | rest_[i];
    rest_ = rest_.subspan(width);
    out = value;
    return true;
  }

  // A vector with a length of one or two bytes in front (RFC 8446 section 3.4).
  [[nodiscard]] constexpr bool vector8(ByteView& out) { return vector<1>(out); }
  [[nodiscard]] constexpr bool vector16(ByteView& out) { return vector<2>(out); }

  constexpr ByteView rest() const { return rest_; }
  constexpr size_t remaining() const { return rest_.size(); }
  constexpr bool empty() const { return rest_.empty(); }

 private:
  template <size_t width, typename Number>
  constexpr bool number(Number& out) {
    if (rest_.size() < width) return false;
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++) value = value << 8 | rest_[i];
    rest_ = rest_.subspan(width);
    out = static_cast<Number>(value);
    return true;
  }

  template <size_t width>
  constexpr bool vector(ByteView& out) {
    const ByteView before = rest_;
    uint32_t length = 0;
    if (number<width>(length) && take(length, out)) return true;
    rest_ = before;
    return false;
  }

  ByteView rest_;
};

// Appends to bytes that the caller owns. Numbers are cut to their width.
class Writer {
 public:
  explicit Writer(Bytes& out) : out_(out) {}

  Writer& u8(uint64_t value) { return number(value, 1); }
  Writer& u16(uint64_t value) { return number(value, 2); }
  Writer& u24(uint64_t value) { return number(value, 3); }
  Writer& u32(uint64_t value) { return number(value, 4); }
  Writer& u48(uint64_t value) { return number(value, 6); }
  Writer& u64(uint64_t value) { return number(value, 8); }
  // The shortest variable-length integer (RFC 9000 section 16) of a number below 2^62.
  Writer& variable(uint64_t value) {
    MCBN_ASSERT(value >> 62 == 0);
    const unsigned power = value < 1 << 6 ? 0 : value < 1 << 14 ? 1 : value < 1 << 30 ? 2 : 3;
    const size_t width = size_t{1} << power;
    return number(value | uint64_t{power} << (8 * width - 2), width);
  }
  Writer& bytes(ByteView value) {
    out_.insert(out_.end(), value.begin(), value.end());
    return *this;
  }

 private:
  Writer& number(uint64_t value, size_t width) {
    out_.resize(out_.size() + width);
    putBigEndian(out_.data() + out_.size() - width, value, width);
    return *this;
  }

  Bytes& out_;
};

}  // namespace mcbn
