// path_message.h: the messages of the return routability check: a type and a cookie of 8 bytes.
//
// Spec        RFC 9853 section 4
#pragma once

#include <array>
#include <optional>

#include "base/bytes.h"

namespace mcbn {

enum class PathMessageType : uint8_t { Challenge = 0, Response = 1, Drop = 2 };

// Echoed as it is: its bytes have no byte order.
using PathCookie = std::array<uint8_t, 8>;

struct PathMessage {
  PathMessageType type;
  PathCookie cookie;

  static constexpr size_t kBytes = 1 + sizeof(PathCookie);
  std::array<uint8_t, kBytes> bytes() const;
};

// nullopt: of an unknown type, which is to be ignored, or malformed.
std::optional<PathMessage> parsePathMessage(ByteView content);

}  // namespace mcbn
