#include "dtls13/record_frame.h"

#include <algorithm>

#include "record/dtls_record.h"

namespace mcbn::dtls13 {
namespace {

constexpr uint8_t kFixed = 0x20;
constexpr uint8_t kConnectionId = 0x10, kLongNumber = 0x08, kLength = 0x04;

// RFC 9147 section 4.1.
bool isPlaintext(uint8_t first) {
  return first == content_type::kHandshake || first == content_type::kAlert ||
         first == content_type::kAck;
}

}  // namespace

void writeHeader(HeaderForm form, RecordNumber number, ByteView connection_id, size_t encrypted,
                 uint8_t* out) {
  *out++ = static_cast<uint8_t>(kFixed | (connection_id.empty() ? 0 : kConnectionId) |
                                (form.long_number ? kLongNumber : 0) | (form.length ? kLength : 0) |
                                (number.epoch & kEpochBits));
  out = std::ranges::copy(connection_id, out).out;
  out = putBigEndian(out, number.sequence, form.long_number ? 2 : 1);
  if (form.length) putBigEndian(out, encrypted, 2);
}

MutableBytes numberIn(MutableBytes header) {
  const size_t bytes = header[0] & kLongNumber ? 2 : 1, behind = header[0] & kLength ? 2 : 0;
  return header.subspan(header.size() - behind - bytes, bytes);
}

std::optional<RecordFrame> IncomingDatagram::next(size_t id_length) {
  if (rest_.empty()) return std::nullopt;
  if (isPlaintext(rest_[0])) return plaintext();
  return isEncrypted(rest_[0]) ? ciphertext(id_length) : broken();
}

std::optional<RecordFrame> IncomingDatagram::broken() {
  damaged_ = true;
  rest_ = {};
  return std::nullopt;
}

std::optional<RecordFrame> IncomingDatagram::plaintext() {
  Reader reader(rest_);
  RecordFrame frame;
  uint16_t epoch = 0;
  ByteView body;
  if (!reader.u8(frame.type) || !reader.u16(frame.version) || !reader.u16(epoch) ||
      !reader.u48(frame.number.sequence) || !reader.vector16(body) ||
      body.size() > kMaxContentBytes) {
    return broken();
  }
  frame.number.epoch = epoch;
  frame.body = rest_.subspan(kPlaintextHeaderBytes, body.size());
  rest_ = rest_.last(reader.remaining());
  return frame;
}

std::optional<RecordFrame> IncomingDatagram::ciphertext(size_t id_length) {
  Reader reader(rest_);
  RecordFrame frame;
  frame.encrypted = true;
  uint8_t first = 0;
  if (!reader.u8(first)) return broken();
  const size_t id = first & kConnectionId ? id_length : 0;
  const size_t number = first & kLongNumber ? 2 : 1;
  ByteView masked, body;
  // The C bit without an ID to be found there: how long its header is cannot be known.
  if ((first & kConnectionId && id == 0) || !reader.take(id, frame.connection_id) ||
      !reader.take(number, masked)) {
    return broken();
  }
  if (first & kLength) {
    if (!reader.vector16(body)) return broken();
  } else {
    body = reader.rest();
    if (!reader.take(body.size(), body)) return broken();
  }
  if (body.size() > kMaxEncryptedBytes) return broken();
  frame.epoch_bits = first & kEpochBits;
  const size_t record = rest_.size() - reader.remaining();
  frame.header = rest_.first(record - body.size());
  frame.body = rest_.subspan(frame.header.size(), body.size());
  rest_ = rest_.subspan(record);
  return frame;
}

std::optional<ByteView> connectionIdOf(ByteView datagram, size_t id_length) {
  constexpr size_t kLengthAt = kPlaintextHeaderBytes - 2;
  while (datagram.size() > kPlaintextHeaderBytes && isPlaintext(datagram[0])) {
    const size_t body = size_t{datagram[kLengthAt]} << 8 | datagram[kLengthAt + 1];
    datagram = datagram.subspan(std::min(datagram.size(), kPlaintextHeaderBytes + body));
  }
  if (id_length == 0 || datagram.size() <= 1 + id_length || !isEncrypted(datagram[0]) ||
      !(datagram[0] & kConnectionId)) {
    return std::nullopt;
  }
  return datagram.subspan(1, id_length);
}

void appendPlaintextRecord(uint8_t type, uint64_t sequence, ByteView content, Bytes& datagram) {
  MCBN_ASSERT(isPlaintext(type) && content.size() <= kMaxContentBytes);
  Writer(datagram).u8(type).u16(kDtls12).u16(0).u48(sequence).u16(content.size()).bytes(content);
}

}  // namespace mcbn::dtls13
