// record_protection.h: one direction of an epoch's AEAD record protection.
//
//   seal: header | room for nonce | plaintext | room for tag   -> the record, in place
//   open: explicit nonce | ciphertext | tag                    -> the plaintext, in place
//
// CCM takes several records at a time, which makes it two to six times as fast (ccm_batch.h,
// ccm_protection.cc). All else, and a single long record with CCM, goes through EVP in the mode
// that libssl uses itself: one call sets the additional data, one does the rest. With a connection
// ID the additional data is longer than that mode knows (RFC 9146 section 5.3), and EVP's ordinary
// AEAD calls are used (cid_protection.cc). The explicit nonce is the record's epoch and sequence
// number, as RFC 6655 section 3 proposes and RFC 5288 section 3 allows: no two records of a key can
// ever share one.
//
// An EVP_CIPHER_CTX has 0.6 to 1.1 KB, the key in it 16 to 32 bytes. A direction that is not used
// gives its contexts back (CipherContexts) and makes others when they are needed.
//
// Ownership   a RecordLayer owns its two directions; CipherContexts borrows those with a context.
// Thread      the session's.
// Spec        RFC 6347 section 4.1.2.1 (additional data: epoch and sequence number, type, version,
//             length), RFC 5246 section 6.2.3.3, RFC 9146
#pragma once

#include <openssl/types.h>

#include <array>
#include <memory>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "base/recency.h"
#include "base/secret.h"
#include "record/ciphers.h"
#include "record/dtls_record.h"

namespace mcbn {

class RecordProtection;

// Which directions have cipher contexts, the least recently used first: no more than `capacity`.
class CipherContexts {
 public:
  explicit CipherContexts(size_t capacity) : capacity_(capacity) {}
  ~CipherContexts();
  CipherContexts(const CipherContexts&) = delete;
  CipherContexts& operator=(const CipherContexts&) = delete;

  size_t count() const { return count_; }

 private:
  friend class RecordProtection;
  void used(RecordProtection& direction);
  void remove(RecordProtection& direction);
  bool contains(const RecordProtection& direction) const;

  const size_t capacity_;
  size_t count_ = 0;
  RecencyList<RecordProtection> recency_;
};

// One record of those that are sealed or opened together.
struct RecordPiece {
  uint8_t type;     // sealing: of the content; opening: the header's
  uint64_t number;  // epoch and sequence number as they go into the header: 16 and 48 bits
  // Explicit nonce, text and tag. Sealing: headerBytes() are in front of it, and the text is there.
  uint8_t* fragment;
  size_t length;      // sealing: the content's; opening: the fragment's
  bool done = false;  // sealed, or opened and authentic
};

class RecordProtection {
 public:
  enum class Direction : uint8_t { Seal, Open };

  // `fixed_iv` has suite.fixed_iv bytes. `contexts` may be null: then the context stays. With an
  // `id` every record is a tls12_cid record with it.
  RecordProtection(const AeadSuite& suite, Direction direction, Secret key, ByteView fixed_iv,
                   CipherContexts* contexts, Bytes id = {});
  ~RecordProtection();
  RecordProtection(const RecordProtection&) = delete;
  RecordProtection& operator=(const RecordProtection&) = delete;

  const Bytes& id() const { return id_; }
  size_t headerBytes() const { return kDtlsRecordHeaderBytes + id_.size(); }
  // Of a record beyond header and content.
  size_t overhead() const { return suite_.overhead() + (id_.empty() ? 0 : 1); }

  // A number must never be used twice, also where OpenSSL refused.
  void seal(std::span<RecordPiece> pieces);
  // A piece that is not `done` has no text any more. The text of the others begins behind the
  // explicit nonce and is shorter than the fragment by overhead(); with a connection ID it is a
  // DTLSInnerPlaintext, one byte longer than that.
  void open(std::span<RecordPiece> pieces);

  // One record, from its header on; it has its plaintext, `length` bytes, in its place.
  bool seal(uint8_t type, uint64_t number, uint8_t* record, size_t length) {
    RecordPiece piece{type, number, record + headerBytes(), length};
    seal({&piece, 1});
    return piece.done;
  }
  // The plaintext's length. nullopt: not authentic.
  std::optional<size_t> open(uint8_t type, uint64_t number, uint8_t* fragment, size_t length) {
    RecordPiece piece{type, number, fragment, length};
    open({&piece, 1});
    return piece.done ? std::optional(length - suite_.overhead()) : std::nullopt;
  }

 private:
  friend class CipherContexts;
  friend class RecencyList<RecordProtection>;

  void sealOne(RecordPiece& piece);
  void openOne(RecordPiece& piece);
  bool together(std::span<const RecordPiece> pieces) const;
  void writeHeader(const RecordPiece& piece) const;
  void ccm(std::span<RecordPiece> pieces);
  bool readyForCcm();
  bool ready(uint64_t number);
  bool makeContext(uint64_t number);
  bool additionalData(uint8_t type, uint64_t number, size_t length);
  std::array<uint8_t, kNonceBytes> nonceOf(uint64_t number, const uint8_t* fragment) const;
  bool beginWithId(uint64_t number, const uint8_t* fragment, size_t inner);
  bool sealWithId(uint64_t number, uint8_t* fragment, size_t inner);
  bool openWithId(uint64_t number, uint8_t* fragment, size_t length);

  const AeadSuite& suite_;
  const Direction direction_;
  Secret key_;
  std::array<uint8_t, kNonceBytes> iv_{};
  CipherContext context_;
  CipherContext aes_;  // of CcmBatch
  CipherContexts* contexts_;
  const Bytes id_;
  RecordProtection* older = nullptr;  // of contexts_, a RecencyList
  RecordProtection* newer = nullptr;
  uint64_t next_nonce_ = 0;  // GCM: what the context will write as its next explicit nonce
};

}  // namespace mcbn
