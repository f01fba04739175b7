// seal_fault.h: why a sealed session is not taken.
#pragma once

#include <cstdint>

namespace mcbn {

enum class SealFault : uint8_t {
  None,
  Forged,         // altered, cut, or sealed with another key
  Version,        // of a format that is unknown
  Protocol,       // of a version of DTLS that is not spoken here
  WrongRole,      // a client's for a server, or the other way round
  Suite,          // not in our list of ciphers
  Malformed,      // authentic, and yet not what it should be
  OtherIdentity,  // a client's for another identity than it was told
  UsedBefore,     // these very bytes were taken already
};

// One word, such as "forged"; empty for None.
const char* nameOf(SealFault fault);

}  // namespace mcbn
