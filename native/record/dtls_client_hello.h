// dtls_client_hello.h: what the stateless cookie needs of a ClientHello, from the raw datagram.
//
// Runs on datagrams of unknown peers before anything is stored for them: no allocation, no
// OpenSSL. Spec: RFC 6347 sections 4.2.1 and 4.3.2.
#pragma once

#include <optional>

#include "base/bytes.h"

namespace mcbn {

// Longest ClientHello an endpoint looks at. One with a post-quantum key share (1.2 KB) and a few
// dozen extensions stays below; what is longer is not worth the memory it takes to put together.
constexpr size_t kMaxClientHelloBytes = 4096;

// Views borrow from the datagram.
struct DtlsClientHello {
  uint64_t recordSequence = 0;   // the HelloVerifyRequest must repeat it
  uint16_t messageSequence = 0;  // 0 at first, 1 with a cookie
  uint16_t clientVersion = 0;    // 0xFEFD: DTLS 1.2 or later
  ByteView random;               // 32 bytes
  ByteView sessionId;            // 0 to 32 bytes
  ByteView cookie;               // 0 to 255 bytes; empty in a first hello
  bool fragmented = false;       // the message goes on in other records
};

// nullopt unless the datagram's first record is an epoch-0 handshake record that begins with a
// ClientHello, whole or its first fragment, which reaches through the cookie. Whole hellos are
// checked to their end: cipher suites, compression methods, extensions (each length, not the
// meaning).
std::optional<DtlsClientHello> parseClientHello(ByteView datagram);

}  // namespace mcbn
