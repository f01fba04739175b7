// downgrade.h: the mark in a server's random that says it knows a newer version than it speaks here.
//
// Spec        RFC 8446 section 4.1.3
#pragma once

#include <algorithm>
#include <array>

#include "base/bytes.h"

namespace mcbn {

// In a ClientHello's list of suites: a newer version did not work (RFC 7507 section 2).
constexpr uint16_t kFallbackScsv = 0x5600;

// `random`: of a ServerHello, 32 bytes.
inline bool marksDowngrade(ByteView random) {
  constexpr std::array<uint8_t, 7> kMark = {'D', 'O', 'W', 'N', 'G', 'R', 'D'};
  return std::equal(kMark.begin(), kMark.end(), random.end() - 8) && random.back() <= 1;
}

}  // namespace mcbn
