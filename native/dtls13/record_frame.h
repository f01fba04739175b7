// record_frame.h: the records of one datagram, as their headers frame them, before any key.
//
//   001C SLEE | connection ID | number, 1 or 2 bytes | length, 2 bytes | encrypted record
//
// C: with a connection ID. S: two bytes of number. L: with a length; without one the record ends
// where the datagram ends. EE: the epoch's lowest bits. What begins with 21, 22 or 26 is a record in
// the clear, with the header of DTLS 1.2.
//
// Spec   RFC 9147 sections 4 (both headers), 4.1 (which is which), 4.5.2 (invalid records)
#pragma once

#include <array>
#include <compare>
#include <optional>

#include "base/bytes.h"

namespace mcbn::dtls13 {

// RFC 9147 section 4.
struct RecordNumber {
  uint64_t epoch = 0;
  uint64_t sequence = 0;

  auto operator<=>(const RecordNumber&) const = default;
};

// RFC 8446 sections 5.1 and 5.2, which RFC 9147 keeps.
constexpr size_t kMaxContentBytes = 16'384;
constexpr size_t kMaxEncryptedBytes = kMaxContentBytes + 256;
// RFC 9147 section 4.2.3: fewer cannot be unmasked.
constexpr size_t kMinEncryptedBytes = 16;

// How the header of a protected record is written.
struct HeaderForm {
  bool long_number = true;  // 2 bytes, else 1
  bool length = true;       // without: the last record of its datagram

  size_t bytes(size_t id_length) const {
    return 1 + id_length + (long_number ? 2 : 1) + (length ? 2 : 0);
  }
};

// Writes the header of a record in the form's length. Its number is not masked yet.
void writeHeader(HeaderForm form, RecordNumber number, ByteView connection_id, size_t encrypted,
                 uint8_t* out);

// The 1 or 2 bytes of number in such a header.
MutableBytes numberIn(MutableBytes header);

// A record as it came. Views are of the datagram.
struct RecordFrame {
  bool encrypted = false;
  // In the clear: all the header says. Encrypted: of the number only the masked bytes are there.
  uint8_t type = 0;
  uint16_t version = 0;
  RecordNumber number;
  // Encrypted.
  uint8_t epoch_bits = 0;
  ByteView connection_id;
  MutableBytes header;  // what the AEAD covers, once the number is unmasked

  MutableBytes body;  // the fragment, or the encrypted record
};

// The records of one datagram, one after the other.
class IncomingDatagram {
 public:
  explicit IncomingDatagram(MutableBytes bytes = {}) : rest_(bytes) {}

  // `id_length`: of connection IDs in records to us, which do not say so themselves. nullopt at the
  // end, and when the rest is no record: then damaged(), and nothing follows.
  std::optional<RecordFrame> next(size_t id_length);
  bool damaged() const { return damaged_; }
  // Drops what is left (RFC 9147 section 4: behind a record of another association).
  void end() { rest_ = {}; }

  // Whether an encrypted record with a connection ID has come: those behind it may do without.
  bool identified = false;

 private:
  std::optional<RecordFrame> plaintext();
  std::optional<RecordFrame> ciphertext(size_t id_length);
  std::optional<RecordFrame> broken();

  MutableBytes rest_;
  bool damaged_ = false;
};

// Whether a record that begins with this byte is encrypted (RFC 9147 section 4.1).
constexpr bool isEncrypted(uint8_t first) { return (first & 0xE0) == 0x20; }
// What it has of the epoch then.
constexpr uint8_t kEpochBits = 0x03;

// The ID of the first encrypted record of the datagram, if it has one: what to find the session by.
std::optional<ByteView> connectionIdOf(ByteView datagram, size_t id_length);

// A record in the clear: type 22 (handshake), 21 (alert) or 26 (ACK), version fefd. For answers
// without state; a session's records are made by Records.
void appendPlaintextRecord(uint8_t type, uint64_t sequence, ByteView content, Bytes& datagram);
constexpr size_t kPlaintextHeaderBytes = 13;

}  // namespace mcbn::dtls13
