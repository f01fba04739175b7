// handshake_fragment.h: the handshake message fragments inside one DTLS record.
// Spec: RFC 6347 sections 4.2.2 and 4.2.3. A record may carry several.
#pragma once

#include <optional>

#include "base/bytes.h"

namespace mcbn {

constexpr size_t kDtlsHandshakeHeaderBytes = 12;

// Views borrow from the record.
struct HandshakeFragment {
  uint8_t type = 0;
  uint32_t length = 0;  // of the whole message
  uint16_t messageSequence = 0;
  uint32_t offset = 0;
  ByteView body;

  bool whole() const { return body.size() == length; }
};

// Takes the next fragment off the front of `record`. nullopt when the header is short, the fragment
// does not lie within its message, runs beyond the record, or carries nothing of a message that
// has something (nobody needs those; they only cost work).
std::optional<HandshakeFragment> nextFragment(Reader& record);

}  // namespace mcbn
