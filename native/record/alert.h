// alert.h: AlertLevel and AlertDescription, the one table of their numbers
// (RFC 5246 section 7.2, RFC 8446 section 6, RFC 4279 section 6, RFC 7301 section 3.2).
#pragma once

#include <cstdint>

namespace mcbn::alert {

constexpr uint8_t kWarning = 1;
constexpr uint8_t kFatal = 2;

constexpr uint8_t kCloseNotify = 0;
constexpr uint8_t kUnexpectedMessage = 10;
constexpr uint8_t kBadRecordMac = 20;
constexpr uint8_t kHandshakeFailure = 40;
constexpr uint8_t kIllegalParameter = 47;
constexpr uint8_t kDecodeError = 50;
constexpr uint8_t kDecryptError = 51;
constexpr uint8_t kProtocolVersion = 70;
constexpr uint8_t kInsufficientSecurity = 71;
constexpr uint8_t kInternalError = 80;
constexpr uint8_t kInappropriateFallback = 86;  // RFC 7507
constexpr uint8_t kUserCanceled = 90;
constexpr uint8_t kNoRenegotiation = 100;
constexpr uint8_t kMissingExtension = 109;
constexpr uint8_t kUnsupportedExtension = 110;
constexpr uint8_t kUnknownPskIdentity = 115;
constexpr uint8_t kNoApplicationProtocol = 120;

}  // namespace mcbn::alert
