#include "record/dtls_client_hello.h"

#include "record/dtls_record.h"
#include "record/handshake_fragment.h"

namespace mcbn {
namespace {

constexpr size_t kRandomBytes = 32;
constexpr size_t kMaxSessionIdBytes = 32;

// cipher_suites, compression_methods and, if anything is left, extensions (RFC 5246 7.4.1.2).
bool endsWell(Reader body) {
  ByteView suites, compressions, extensions;
  if (!body.vector16(suites) || suites.size() < 2 || suites.size() % 2 != 0) return false;
  if (!body.vector8(compressions) || compressions.empty()) return false;
  if (body.empty()) return true;
  if (!body.vector16(extensions) || !body.empty()) return false;
  Reader list(extensions);
  while (!list.empty()) {
    uint16_t type = 0;
    ByteView data;
    if (!list.u16(type) || !list.vector16(data)) return false;
  }
  return true;
}

}  // namespace

std::optional<DtlsClientHello> parseClientHello(ByteView datagram) {
  const auto record = nextRecord(datagram);
  if (!record || record->type != content_type::kHandshake || record->epoch != 0) {
    return std::nullopt;
  }
  Reader fragments(record->fragment);
  const auto fragment = nextFragment(fragments);
  if (!fragment || fragment->type != handshake_type::kClientHello || fragment->offset != 0 ||
      fragment->length > kMaxClientHelloBytes) {
    return std::nullopt;
  }

  DtlsClientHello hello;
  hello.recordSequence = record->sequence;
  hello.messageSequence = fragment->messageSequence;
  hello.fragmented = !fragment->whole();
  Reader body(fragment->body);
  const bool reachesThroughCookie = body.u16(hello.clientVersion) &&
                                    body.take(kRandomBytes, hello.random) &&
                                    body.vector8(hello.sessionId) && body.vector8(hello.cookie);
  if (!reachesThroughCookie || hello.clientVersion >> 8 != 0xFE ||
      hello.sessionId.size() > kMaxSessionIdBytes) {
    return std::nullopt;
  }
  if (!hello.fragmented && !endsWell(body)) return std::nullopt;
  return hello;
}

}  // namespace mcbn
