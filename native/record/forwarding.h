// forwarding.h: what nodes of a fleet say to each other: a datagram that reached the wrong one, its
// answer, and who has which node ID.
//
//   0xe1 | thread | kind | to | from | sender | number | sealed: time, address, content | tag
//      1        1      1    4      4        8        6           4       1 + n           16
//
// Sealed with AES-256-GCM; what is in front is its additional data. Each sender (an I/O thread of a
// process) has its own 8 random bytes and so its own key, HKDF-Expand(fleet key, label, from, sender);
// its numbers are the nonces. So no two messages of a fleet ever have the same key and nonce,
// and nothing has to be agreed on before the first.
//
// Replays: a window for each sender, and the time: what is older than kMostAge is refused also by a
// process that never heard of the sender. Clocks may differ by that much.
//
// Thread      one at a time.
// Spec        docs/FLEET.md, RFC 5869 section 2.3
#pragma once

#include <array>
#include <map>
#include <memory>

#include "base/bytes.h"
#include "base/secret.h"
#include "record/ciphers.h"
#include "record/replay_window.h"

namespace mcbn {

enum class ForwardKind : uint8_t {
  ToOwner = 1,       // a client's datagram, for the node that its connection ID names
  ToClient = 2,      // an answer, for the node that the client's datagram came through
  Announcement = 3,  // which node IDs the sender has, and since when
  Question = 4,      // the same, and asks for the receiver's
};

struct ForwardHeader {
  ForwardKind kind = ForwardKind::ToOwner;
  uint8_t thread = 0;  // of the receiver, by which its system chooses one (UdpSocket::steerGroup)
  uint32_t to = 0;     // node IDs
  uint32_t from = 0;
};

namespace forwarding {
constexpr size_t kKeyBytes = 32;
constexpr uint8_t kFormat = 0xe1;
constexpr uint8_t kThreadOffset = 1;
constexpr size_t kSenderBytes = 8, kTagBytes = 16, kTimeBytes = 4;
constexpr size_t kHeaderBytes = 1 + 1 + 1 + 4 + 4 + kSenderBytes + 6;
// Everything that is not content, without the address's own bytes.
constexpr size_t kOverhead = kHeaderBytes + kTimeBytes + 1 + kTagBytes;
constexpr uint64_t kMostAge = 30;  // seconds
}  // namespace forwarding

class ForwardSealer {
 public:
  // `key`: forwarding::kKeyBytes, borrowed during the call.
  ForwardSealer(ByteView key, uint32_t node);

  bool usable() const { return cipher_ != nullptr; }
  ByteView sender() const { return sender_; }
  // Appends one message to `out`; how long it is. 0: OpenSSL has failed, or its numbers are used up.
  size_t seal(const ForwardHeader& header, ByteView address, ByteView content,
              uint64_t wall_seconds, Bytes& out);

 private:
  uint32_t node_;
  std::array<uint8_t, forwarding::kSenderBytes> sender_{};
  CipherContext cipher_;
  uint64_t number_ = 0;
};

class ForwardOpener {
 public:
  enum class Fault : uint8_t { None, Forged, Replayed, Stale };
  struct Opened {
    Fault fault = Fault::Forged;
    ForwardHeader header = {};
    ByteView sender = {};
    uint32_t time = 0;  // when it was sealed, by the sender's clock: seconds since 1970
    ByteView address = {};
    MutableBytes content = {};
  };

  explicit ForwardOpener(ByteView key) : key_(key) {}

  // Decrypts where it lies; the views are of `datagram`.
  Opened open(MutableBytes datagram, uint64_t wall_seconds);

  // Senders that are remembered; for another the one silent longest goes.
  static constexpr size_t kMostSenders = 1'024;

 private:
  // Numbers back that one may come: threads of a receiver each see a part of them.
  static constexpr size_t kWindow = 4'096;
  using Name = std::array<uint8_t, 4 + forwarding::kSenderBytes>;  // from, sender
  struct Sender {
    explicit Sender(CipherContext made) : cipher(std::move(made)) {}
    CipherContext cipher;
    ReplayWindow window{kWindow};
    uint64_t heard = 0;
  };

  void remember(const Name& name, std::unique_ptr<Sender> sender);

  const Secret key_;
  std::map<Name, std::unique_ptr<Sender>> senders_;
  uint64_t heard_ = 0;
};

}  // namespace mcbn
