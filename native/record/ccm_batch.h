// ccm_batch.h: AES-CCM of many messages of one key at a time, in place.
//
//   seal: text              -> ciphertext, tag
//   open: ciphertext, tag   -> text; or nothing: what is not authentic is wiped
//
// CCM is slow because its MAC is a chain: a block is encrypted after the one before it, and an AES
// unit that could have eight blocks under way has one. But the chains of *different* messages do
// not wait for each other. So all messages of a batch go forward together, one block at each step,
// and a step is one call of AES-ECB over all their MAC states, with the counter blocks that the
// next step needs behind them:
//
//   step     is encrypted in one call
//   begin    B_0 of each message              and  A_0 of each: S_0, which masks the tag
//   data     MAC ^ additional data of each    and  A_1 of each: S_1, the first key stream
//   j        MAC ^ text block j of each       and  A_j+1 of each that has more text
//
// (names as in RFC 3610). Longer messages come first, so those with text left are always the first
// ones, and the batch becomes narrower as messages end. Everything between two calls is XOR. The
// bytes are those that EVP's CCM makes; the cipher is OpenSSL's own, in constant time.
//
// A batch of one gains nothing by it, but loses the set-up that EVP's CCM needs for each message.
// Where that is worth more than the calls is worthOne(), measured by bench/native/ccm.cc.
//
// No tag, no text: open() returns after it has compared every tag, each in constant time, and a
// message whose tag is wrong has only zeros. A wrong one changes nothing for its neighbours. MAC
// states and key stream are on the stack, and wiped.
//
// Ownership   borrows the context; messages point to the caller's bytes.
// Thread      that of the context.
// Spec        RFC 3610 section 2, NIST SP 800-38C appendix A; RFC 6655 for its use in TLS.
#pragma once

#include <openssl/types.h>

#include <span>

#include "base/bytes.h"
#include "record/ciphers.h"

namespace mcbn {

struct CcmMessage {
  ByteView nonce;
  // Of one length throughout a batch, and shorter than 65,280 bytes.
  ByteView additional;
  MutableBytes text;       // up to kLongest bytes
  uint8_t* tag = nullptr;  // written, or compared
  bool authentic = false;  // after open()
};

class CcmBatch {
 public:
  static constexpr size_t kLongest = 65'535;
  // Messages that go forward together; more are taken in turns.
  static constexpr size_t kWidest = 32;

  // `aes`: aesBlocks(), encrypting. Nonces have 7 to 13 bytes, tags 4 to 16, an even number.
  CcmBatch(EVP_CIPHER_CTX* aes, size_t nonce_bytes, size_t tag_bytes)
      : aes_(aes), nonce_bytes_(nonce_bytes), tag_bytes_(tag_bytes) {}

  // Whether a single message of `length` bytes is made faster here than by EVP's CCM.
  static bool worthOne(size_t length) { return length <= 64; }

  // False, and all texts wiped: OpenSSL refused, or a length is not one of those above. No nonce
  // may be used again.
  [[nodiscard]] bool seal(std::span<CcmMessage> messages) { return each<false>(messages); }
  // The same, and no message is authentic; otherwise each says whether it is.
  [[nodiscard]] bool open(std::span<CcmMessage> messages) { return each<true>(messages); }

 private:
  struct Lanes;
  template <bool opening>
  bool each(std::span<CcmMessage> messages);
  template <bool opening>
  bool advance(std::span<CcmMessage> messages);
  bool takes(const CcmMessage& message, size_t additional) const;
  bool begin(Lanes& lanes) const;
  bool authenticate(Lanes& lanes) const;
  template <bool opening>
  void finish(Lanes& lanes, size_t from, size_t to) const;
  bool encrypt(Lanes& lanes, size_t blocks) const;

  EVP_CIPHER_CTX* const aes_;
  const size_t nonce_bytes_;
  const size_t tag_bytes_;
};

}  // namespace mcbn
