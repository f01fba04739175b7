// dtls_record.h: the records of one datagram, and the few that are written without keys.
//
//   datagram --nextRecord()--> record, record, ...      (RFC 6347 section 4.1.1: one or more)
//
// Only the framing is judged here. Whether a record may reach OpenSSL is the screen's decision
// (handshake_screen.h). Spec: RFC 6347 section 4.1, RFC 5246 sections 6.2.1 and 7.2.
#pragma once

#include <optional>

#include "base/bytes.h"
#include "record/alert.h"

namespace mcbn {

// ContentType (RFC 5246 section 6.2.1).
namespace content_type {
constexpr uint8_t kChangeCipherSpec = 20;
constexpr uint8_t kAlert = 21;
constexpr uint8_t kHandshake = 22;
constexpr uint8_t kApplicationData = 23;
constexpr uint8_t kTls12Cid = 25;                // RFC 9146 section 4
constexpr uint8_t kAck = 26;                     // RFC 9147 section 7
constexpr uint8_t kReturnRoutabilityCheck = 27;  // RFC 9853 section 4
}  // namespace content_type

// HandshakeType (RFC 5246 section 7.4, RFC 6347 section 4.3.2).
namespace handshake_type {
constexpr uint8_t kHelloRequest = 0;
constexpr uint8_t kClientHello = 1;
constexpr uint8_t kServerHello = 2;
constexpr uint8_t kHelloVerifyRequest = 3;
constexpr uint8_t kServerKeyExchange = 12;
constexpr uint8_t kServerHelloDone = 14;
constexpr uint8_t kClientKeyExchange = 16;
constexpr uint8_t kFinished = 20;
}  // namespace handshake_type

constexpr uint16_t kDtls10 = 0xFEFF;
constexpr uint16_t kDtls12 = 0xFEFD;
constexpr size_t kDtlsRecordHeaderBytes = 13;
// RFC 5246 section 6.2.3: a protected record is at most 2048 bytes longer than its plaintext.
constexpr size_t kMaxRecordFragmentBytes = 16384 + 2048;

// Views borrow from the datagram.
struct DtlsRecord {
  uint8_t type = 0;
  uint16_t version = 0;
  uint16_t epoch = 0;
  uint64_t sequence = 0;   // 48 bits
  ByteView connection_id;  // of a tls12_cid record; empty in all others
  ByteView fragment;
  ByteView whole;  // header and fragment: what OpenSSL is fed
};

// Epoch and sequence number, 16 and 48 bits, as the header has them.
inline uint64_t numberOf(const DtlsRecord& record) {
  return uint64_t{record.epoch} << 48 | record.sequence;
}

// By its first message.
inline bool isVerifyRequest(const DtlsRecord& record) {
  return record.epoch == 0 && record.type == content_type::kHandshake && !record.fragment.empty() &&
         record.fragment[0] == handshake_type::kHelloVerifyRequest;
}

// Takes the next record off the front of `datagram`. nullopt at the end, and also when the bytes
// are no record (short header, length beyond the datagram, length over
// kMaxRecordFragmentBytes, major version not 254): then the rest is dropped, `datagram` becomes
// empty. A caller that counts malformed datagrams asks while `!datagram.empty()`.
// `connection_id_length`: what tls12_cid records have in front of their length; they do not say so
// themselves (RFC 9146 section 4). 0: none is expected, and their framing is as that of all others.
std::optional<DtlsRecord> nextRecord(ByteView& datagram, size_t connection_id_length = 0);

// The record with this number in its header. In the clear only: the tag of a sealed record covers
// its number.
Bytes withSequence(const DtlsRecord& record, uint64_t sequence);

// An alert in the clear: 15 bytes, epoch 0 (RFC 6347 section 4.1). `sequence` must not repeat one
// already used in epoch 0.
Bytes plaintextAlert(uint16_t version, uint64_t sequence, uint8_t level, uint8_t description);

}  // namespace mcbn
