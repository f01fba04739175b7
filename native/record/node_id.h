// node_id.h: connection IDs that say which node of a fleet gave them, so that any other node, or a
// load balancer that knows the form, finds it.
//
//   first octet: 3 bits which form, 5 bits which I/O thread | node ID | nonce
//
// Node ID and nonce are one block. With a key it is encrypted: by AES-128 if it has 16 bytes, by four
// rounds of a Feistel network with AES-128 if not. Then an observer cannot tell how many nodes there
// are, nor which one has a session.
//
// Thread      one at a time; each I/O thread has one of the same form.
// Spec        draft-ietf-quic-load-balancers-21 sections 3 and 5
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "record/ciphers.h"

namespace mcbn {

// Encrypts and decrypts the block of an ID where it lies.
class NodeIdCipher {
 public:
  static constexpr size_t kKeyBytes = 16;
  // Two halves of ten bytes and the two bytes that follow them are less than an AES block.
  static constexpr size_t kLeastBlock = 5, kMostBlock = 19;

  // `key`: kKeyBytes, borrowed during the call.
  explicit NodeIdCipher(ByteView key);

  // kLeastBlock to kMostBlock bytes. False: OpenSSL has failed.
  [[nodiscard]] bool encrypt(MutableBytes block);
  [[nodiscard]] bool decrypt(MutableBytes block);

 private:
  bool fourPasses(MutableBytes block, const std::array<uint8_t, 4>& order);
  bool round(MutableBytes to, ByteView from, size_t length, uint8_t pass);

  CipherContext encrypt_;
  CipherContext decrypt_;  // single pass only
};

struct NodeIdForm {
  static constexpr size_t kMostNodeBytes = 4, kLeastNonce = 4;
  static constexpr size_t kShortest = 1 + 1 + kLeastNonce, kLongest = 1 + NodeIdCipher::kMostBlock;
  // The five bits of the first octet.
  static constexpr uint8_t kThreadMask = 0x1f;
  static constexpr size_t kMostThreads = kThreadMask + 1;
  // 7 means "no node" in the draft.
  static constexpr uint8_t kMostRotation = 6;

  size_t length = 8;      // of the whole ID, kShortest to kLongest
  size_t node_bytes = 1;  // 1 to kMostNodeBytes
  uint8_t rotation = 0;   // which form, 0 to kMostRotation
};

class NodeIds {
 public:
  // `key`: NodeIdCipher::kKeyBytes, or empty: in the clear.
  NodeIds(const NodeIdForm& form, ByteView key);

  const NodeIdForm& form() const { return form_; }
  // Makes an ID of this node in `id`, which has the form's length and is random. With a key its nonces
  // are counted from a random one on, so that none comes twice. `thread`: none: those bits stay
  // random. False: OpenSSL has failed.
  [[nodiscard]] bool make(MutableBytes id, uint32_t node, std::optional<uint8_t> thread);
  // nullopt: it has another length or form.
  std::optional<uint32_t> nodeOf(ByteView id);

 private:
  const NodeIdForm form_;
  std::unique_ptr<NodeIdCipher> cipher_;  // null: in the clear
  std::optional<uint64_t> nonce_;  // the last eight bytes of the last one, or as many as it has
};

}  // namespace mcbn
