#include "record/hello_verify_request.h"

#include <algorithm>

namespace mcbn {
namespace {

struct FixedWriter {
  HelloVerifyRequest& out;
  size_t at = 0;

  FixedWriter& number(uint64_t value, unsigned width) {
    putBigEndian(out.data() + at, value, width);
    at += width;
    return *this;
  }
};

}  // namespace

HelloVerifyRequest helloVerifyRequest(const DtlsClientHello& hello, const Cookie& cookie) {
  constexpr size_t kBodyBytes = 3 + kCookieBytes;
  HelloVerifyRequest out;
  FixedWriter writer{out};
  // DTLS 1.0 whatever will be negotiated, and the record sequence of the hello (section 4.2.1).
  writer.number(content_type::kHandshake, 1).number(kDtls10, 2).number(0, 2);
  writer.number(hello.recordSequence, 6).number(kDtlsHandshakeHeaderBytes + kBodyBytes, 2);
  // message_seq is 0 always: a server without state sends no other message before this one.
  writer.number(handshake_type::kHelloVerifyRequest, 1).number(kBodyBytes, 3).number(0, 2);
  writer.number(0, 3).number(kBodyBytes, 3);
  writer.number(kDtls10, 2).number(kCookieBytes, 1);
  std::copy(cookie.begin(), cookie.end(), out.begin() + writer.at);
  return out;
}

}  // namespace mcbn
