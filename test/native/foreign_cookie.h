// foreign_cookie.h: HelloVerifyRequests of somebody who has seen no hello.
#pragma once

#include "wire.h"

namespace mcbn {

inline const Bytes kForeignCookie(16, 0xee);

// Under the number that it would have from many servers.
inline Bytes foreignVerifyRequest(uint16_t message_sequence) {
  Bytes body;
  Writer(body).u16(kDtls10).u8(kForeignCookie.size()).bytes(kForeignCookie);
  const Bytes message = wire::message(handshake_type::kHelloVerifyRequest, message_sequence, body);
  return wire::record(content_type::kHandshake, 0, message_sequence, message, kDtls10);
}

}  // namespace mcbn
