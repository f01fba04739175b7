#include "record/connection_id.h"

#include <algorithm>

namespace mcbn {
namespace {

constexpr size_t kIdOffset = 11;  // type, version, epoch, sequence number

}  // namespace

std::optional<ByteView> connectionIdOf(ByteView datagram, size_t length) {
  if (length == 0 || datagram.size() < kDtlsRecordHeaderBytes + length) return std::nullopt;
  if (datagram[0] != content_type::kTls12Cid) return std::nullopt;
  return datagram.subspan(kIdOffset, length);
}

CidAdditionalData::CidAdditionalData(uint64_t number, ByteView id, size_t length) {
  const ByteView used = id.first(std::min(id.size(), kMaxConnectionIdBytes));
  uint8_t* out = putBigEndian(bytes_.data(), UINT64_MAX, 8);  // seq_num_placeholder
  out = putBigEndian(out, content_type::kTls12Cid, 1);
  out = putBigEndian(out, used.size(), 1);
  out = putBigEndian(out, content_type::kTls12Cid, 1);
  out = putBigEndian(out, kDtls12, 2);
  out = putBigEndian(out, number, 8);
  out = std::copy(used.begin(), used.end(), out);
  out = putBigEndian(out, length, 2);
  size_ = static_cast<size_t>(out - bytes_.data());
}

std::optional<InnerContent> innerContentOf(ByteView inner) {
  size_t end = inner.size();
  while (end > 0 && inner[end - 1] == 0) end -= 1;
  if (end == 0) return std::nullopt;
  return InnerContent{inner[end - 1], end - 1};
}

}  // namespace mcbn
