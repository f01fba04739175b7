#include "record/handshake_reframing.h"

#include <algorithm>

namespace mcbn {
namespace {

using Direction = RecordProtection::Direction;

// The record of `content` under the number of another record.
std::optional<Bytes> sealed(RecordProtection& protection, const AeadSuite& suite, uint8_t type,
                            uint64_t number, ByteView content) {
  Bytes out(protection.headerBytes() + protection.overhead() + content.size());
  const size_t begin = protection.headerBytes() + suite.explicit_nonce;
  std::copy(content.begin(), content.end(), out.begin() + static_cast<ptrdiff_t>(begin));
  if (!protection.seal(type, number, out.data(), content.size())) return std::nullopt;
  return out;
}

}  // namespace

HandshakeReframing::HandshakeReframing(const AeadSuite& suite, RecordKeys keys,
                                       const ConnectionIds& ids)
    : suite_(suite),
      openssl_wrote_(suite, Direction::Open, keys.write_key.clone(), keys.write_iv, nullptr),
      to_peer_(suite, Direction::Seal, keys.write_key.clone(), keys.write_iv, nullptr, ids.peer),
      peer_wrote_(suite, Direction::Open, keys.read_key.clone(), keys.read_iv, nullptr, ids.own),
      to_openssl_(suite, Direction::Seal, keys.read_key.clone(), keys.read_iv, nullptr) {
  keys.wipe();
}

std::optional<Bytes> HandshakeReframing::outgoing(const DtlsRecord& record) {
  Bytes fragment(record.fragment.begin(), record.fragment.end());
  const auto length =
      openssl_wrote_.open(record.type, numberOf(record), fragment.data(), fragment.size());
  if (!length) return std::nullopt;
  const ByteView content(fragment.data() + suite_.explicit_nonce, *length);
  return sealed(to_peer_, suite_, record.type, numberOf(record), content);
}

std::optional<HandshakeReframing::Incoming> HandshakeReframing::incoming(const DtlsRecord& record) {
  Bytes fragment(record.fragment.begin(), record.fragment.end());
  const auto length =
      peer_wrote_.open(record.type, numberOf(record), fragment.data(), fragment.size());
  if (!length || *length > kMaxInnerBytes) return std::nullopt;
  const ByteView inner(fragment.data() + suite_.explicit_nonce, *length);
  const auto content = innerContentOf(inner);
  if (!content) return std::nullopt;
  auto plain =
      sealed(to_openssl_, suite_, content->type, numberOf(record), inner.first(content->length));
  if (!plain) return std::nullopt;
  return Incoming{content->type, std::move(*plain)};
}

}  // namespace mcbn
