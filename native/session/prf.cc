#include "session/prf.h"

#include <algorithm>

#include "record/hash.h"

namespace mcbn {

bool tls12Prf(PskHash hash, ByteView secret, std::span<const ByteView> seed,
              std::span<uint8_t> out) {
  if (secret.empty()) return false;
  const Hmac mac(hash, secret);
  const size_t size = mac.size();
  Scratch<kMaxHashBytes> a_bytes, block_bytes;
  const MutableBytes a = a_bytes.first(size), block = block_bytes.first(size);
  bool made = mac.of({}, seed, a.data());
  while (made && !out.empty()) {
    made = mac.of(a, seed, block.data());
    const size_t taken = std::min(out.size(), size);
    std::copy_n(block.begin(), taken, out.begin());
    out = out.subspan(taken);
    if (!out.empty()) made = made && mac.of({a}, a.data());
  }
  return made;
}

}  // namespace mcbn
