// hello_verify_request.h: the datagram that hands a client its cookie.
// Spec: RFC 6347 sections 4.2.1 and 4.3.2. Made without state, and never longer than the hello
// that asked for it, so a forged source address gains an attacker nothing.
#pragma once

#include <array>

#include "record/cookie.h"
#include "record/dtls_record.h"
#include "record/handshake_fragment.h"

namespace mcbn {

// server_version (2), cookie length (1), cookie
constexpr size_t kHelloVerifyRequestBytes =
    kDtlsRecordHeaderBytes + kDtlsHandshakeHeaderBytes + 3 + kCookieBytes;
using HelloVerifyRequest = std::array<uint8_t, kHelloVerifyRequestBytes>;

HelloVerifyRequest helloVerifyRequest(const DtlsClientHello& hello, const Cookie& cookie);

}  // namespace mcbn
