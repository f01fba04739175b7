// connection_id.h: what a tls12_cid record has that others do not (RFC 9146).
//
//   type 25 | version | epoch, number | connection ID | length | protected: content | type | zeros
//
// The receiver chooses the ID that it wants to find in records; either side may do without. From
// epoch 1 on every record to a peer that gave a non-empty ID has it, and none to others.
//
// Spec        RFC 9146 sections 3 (which ID goes where), 4 (format), 5.3 (additional data)
#pragma once

#include <array>
#include <optional>

#include "base/bytes.h"
#include "record/dtls_record.h"

namespace mcbn {

// RFC 9146 section 3: opaque cid<0..2^8-1>.
constexpr size_t kMaxConnectionIdBytes = 255;
// Of those we hand out: unguessable long before.
constexpr size_t kMaxOwnConnectionIdBytes = 32;

// RFC 9146 section 5: of a DTLSInnerPlaintext.
constexpr size_t kMaxInnerBytes = 16'384;

struct ConnectionIds {
  Bytes own;   // in records to us; empty: they are plain
  Bytes peer;  // in records to the peer; empty: they are plain

  bool used() const { return !own.empty() || !peer.empty(); }
};

// The ID of the datagram's first record, if that is a tls12_cid record with room for one of
// `length` bytes: enough to find the session by, nothing else is checked.
std::optional<ByteView> connectionIdOf(ByteView datagram, size_t length);

// The additional data of an AEAD record with a connection ID.
class CidAdditionalData {
  // Placeholder, type, ID length, type, version, number, length; and the ID.
  static constexpr size_t kFixed = 8 + 1 + 1 + 1 + 2 + 8 + 2;

 public:
  static constexpr size_t kMost = kFixed + kMaxConnectionIdBytes;

  // `number`: epoch and sequence number. `length`: of the DTLSInnerPlaintext. `id` has at most
  // kMaxConnectionIdBytes.
  CidAdditionalData(uint64_t number, ByteView id, size_t length);
  ByteView view() const { return {bytes_.data(), size_}; }

 private:
  std::array<uint8_t, kMost> bytes_;
  size_t size_;
};

struct InnerContent {
  uint8_t type;
  size_t length;  // the content's; it begins where the inner plaintext begins
};

// Looks behind the padding of a DTLSInnerPlaintext. nullopt: it is nothing but zeros.
std::optional<InnerContent> innerContentOf(ByteView inner);

}  // namespace mcbn
