#include "record/handshake_fragment.h"

namespace mcbn {

std::optional<HandshakeFragment> nextFragment(Reader& record) {
  HandshakeFragment fragment;
  uint32_t size = 0;
  const bool framed = record.u8(fragment.type) && record.u24(fragment.length) &&
                      record.u16(fragment.messageSequence) && record.u24(fragment.offset) &&
                      record.u24(size) && record.take(size, fragment.body);
  if (!framed) return std::nullopt;
  // 24-bit numbers: the subtraction form cannot wrap, and needs offset <= length first.
  if (fragment.offset > fragment.length || size > fragment.length - fragment.offset) {
    return std::nullopt;
  }
  if (size == 0 && fragment.length != 0) return std::nullopt;
  return fragment;
}

}  // namespace mcbn
