#include "record/path_message.h"

#include <algorithm>

namespace mcbn {

std::array<uint8_t, PathMessage::kBytes> PathMessage::bytes() const {
  std::array<uint8_t, kBytes> out{static_cast<uint8_t>(type)};
  std::ranges::copy(cookie, out.begin() + 1);
  return out;
}

std::optional<PathMessage> parsePathMessage(ByteView content) {
  if (content.size() != PathMessage::kBytes) return std::nullopt;
  if (content[0] > static_cast<uint8_t>(PathMessageType::Drop)) return std::nullopt;
  PathMessage message{static_cast<PathMessageType>(content[0]), {}};
  std::ranges::copy(content.subspan(1), message.cookie.begin());
  return message;
}

}  // namespace mcbn
