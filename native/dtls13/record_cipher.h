// record_cipher.h: the AEAD and the number mask of one epoch in one direction.
//
//   seal: header | inner plaintext | room for tag  ->  header | ciphertext | tag, in place
//   open: the other way round; what is not authentic is wiped
//   maskNumbers: with the first 16 bytes of encrypted records, as many at a time as there are
//
// Knows neither epochs nor replays. EVP contexts (1 to 2 KB) are made when they are first needed;
// release() gives them back while the keys stay.
//
// Ownership   Records owns one for each epoch and direction.
// Thread      the session's.
// Spec        RFC 9147 sections 4 (additional data) and 4.2.3 (masks), RFC 8446 section 5.3 (nonce)
#pragma once

#include <openssl/types.h>

#include <array>
#include <memory>
#include <span>

#include "base/bytes.h"
#include "dtls13/key_schedule.h"
#include "record/ciphers.h"

namespace mcbn::dtls13 {

// A record for the AEAD.
struct CipherPiece {
  uint64_t sequence = 0;
  MutableBytes header;     // the additional data: its number not masked
  MutableBytes encrypted;  // inner plaintext and tag, or the room for it
  bool done = false;       // sealed, or opened and authentic
};

class RecordCipher {
 public:
  enum class Direction : uint8_t { Seal, Open };

  RecordCipher(const Suite& suite, Direction direction, TrafficKeys keys);
  RecordCipher(const RecordCipher&) = delete;
  RecordCipher& operator=(const RecordCipher&) = delete;

  const Suite& suite() const { return suite_; }
  // A number must never be used twice, also where OpenSSL refused. Of a piece that is not done
  // nothing is left.
  void seal(std::span<CipherPiece> pieces);
  void open(std::span<CipherPiece> pieces);
  // Masks the numbers in the headers of encrypted pieces, or unmasks them. False: OpenSSL refused.
  bool maskNumbers(std::span<const CipherPiece> pieces);
  void release();

 private:
  bool maskByAes(std::span<const CipherPiece> pieces);
  bool maskByChaCha(const CipherPiece& piece);
  bool readyAead();
  bool begin(const CipherPiece& piece, size_t text);
  bool sealOne(const CipherPiece& piece);
  bool openOne(const CipherPiece& piece);
  bool together(std::span<const CipherPiece> pieces) const;
  void ccm(std::span<CipherPiece> pieces);
  static void wipeUndone(std::span<CipherPiece> pieces);

  const Suite& suite_;
  const Direction direction_;
  TrafficKeys keys_;
  CipherContext aead_, ecb_, number_;
};

}  // namespace mcbn::dtls13
