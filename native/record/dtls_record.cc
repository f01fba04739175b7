#include "record/dtls_record.h"

namespace mcbn {

std::optional<DtlsRecord> nextRecord(ByteView& datagram, size_t connection_id_length) {
  Reader reader(datagram);
  DtlsRecord record;
  uint16_t length = 0;
  const bool numbered = reader.u8(record.type) && reader.u16(record.version) &&
                        reader.u16(record.epoch) && reader.u48(record.sequence);
  const size_t id = record.type == content_type::kTls12Cid ? connection_id_length : 0;
  const bool framed = numbered && reader.take(id, record.connection_id) && reader.u16(length) &&
                      reader.take(length, record.fragment);
  // Major version 254 is all that DTLS 1.0 and 1.2 have in common (RFC 6347 section 4.1).
  if (!framed || record.version >> 8 != 0xFE || length > kMaxRecordFragmentBytes) {
    datagram = {};
    return std::nullopt;
  }
  record.whole = datagram.first(kDtlsRecordHeaderBytes + id + length);
  datagram = reader.rest();
  return record;
}

Bytes withSequence(const DtlsRecord& record, uint64_t sequence) {
  constexpr size_t kLastByte = 10, kFirstByte = 5;
  Bytes copy(record.whole.begin(), record.whole.end());
  for (size_t at = kLastByte; at >= kFirstByte; --at, sequence >>= 8) {
    copy[at] = static_cast<uint8_t>(sequence);
  }
  return copy;
}

Bytes plaintextAlert(uint16_t version, uint64_t sequence, uint8_t level, uint8_t description) {
  constexpr uint16_t kEpoch = 0, kLength = 2;
  Bytes out;
  out.reserve(kDtlsRecordHeaderBytes + kLength);
  Writer(out).u8(content_type::kAlert).u16(version).u16(kEpoch).u48(sequence).u16(kLength);
  Writer(out).u8(level).u8(description);
  return out;
}

}  // namespace mcbn
