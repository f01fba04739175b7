// open_association.h: a DTLS 1.3 association once its handshake is done.
//
//   records --take...()--> messages, key updates, connection IDs          messages --send()--> records
//
// Its own handshake messages (KeyUpdate, NewConnectionId, RequestConnectionId) go one at a time: the
// next waits for the ACK of the one before it, a client's Finished included. So every message that may
// have to be repeated belongs to the epoch in use.
//
// Ownership   a Dtls13Session owns it; its Messages are the session's.
// Thread      the session's.
// Spec        RFC 8446 sections 4.6 and 6.1, RFC 9147 sections 8 (key updates) and 9 (connection IDs),
//             RFC 9853 (return routability)
#pragma once

#include <vector>

#include "dtls13/established.h"
#include "dtls13/handshake_messages.h"

namespace mcbn::dtls13 {

class OpenAssociation {
 public:
  // `renew_after`: age of our keys at which whatever happens next renews them; 0: any. There is no
  // timer: a session that says nothing need not wake up. A peer is asked for the same after twice as long.
  OpenAssociation(Role role, Established established, Milliseconds renew_after)
      : role_(role), renew_after_(renew_after), agreed_(std::move(established).take()) {}

  // Goes on where another was; faultOf() has found no fault. The session resumes `messages` first.
  OpenAssociation(const OpenState13& state, Messages& messages, Milliseconds renew_after,
                  Milliseconds now);
  OpenState13 save(const Messages& messages, Milliseconds now) const;
  // Its newest epochs, with numbers as numberOf() counts them.
  RecordPosition position(const Messages& messages) const;

  // Starts the keys of epoch 3. False: OpenSSL refused.
  bool begin(Messages& messages, SessionStep& step);
  // An authentic handshake message.
  std::optional<Failure> take(uint8_t type, uint64_t epoch, ByteView body, Messages& messages,
                              SessionStep& step);
  // After every ACK, and whatever else may let a waiting message go.
  std::optional<Failure> proceed(Messages& messages, SessionStep& step);

  // Sends with new keys as soon as the peer has acknowledged it; `both`: asks the peer for the same.
  void updateKeys(bool both, Messages& messages, SessionStep& step);
  // RFC 9147 section 9: more IDs of the length that ours have, 16 in all at most. False: none were
  // agreed on, or those given before are not on their way yet.
  bool giveConnectionIds(std::vector<Bytes> ids, bool immediate, Messages& messages,
                         SessionStep& step);
  // False also while one is unanswered.
  bool requestConnectionIds(uint8_t count, Messages& messages, SessionStep& step);
  // The peer's next spare ID, for another path. False: there is none.
  bool useSpareId(Messages& messages);

  // RFC 9853. False: not both sides do it, or OpenSSL refused.
  bool challengePath(const PathCookie& cookie, Messages& messages, SessionStep& step);
  void takePathMessage(ByteView content, Messages& messages, SessionStep& step);
  size_t pathMessageSize(const Messages& messages) const {
    return messages.records().sealedSize(messages.epoch(), PathMessage::kBytes);
  }

  bool send(ByteView message, Messages& messages, SessionStep& step);
  size_t sendInPlace(std::span<const MutableBytes> messages_to_send, Messages& messages,
                     SessionStep& step);
  // Bytes of the largest message in a datagram of `mtu` bytes.
  size_t maxMessage(size_t mtu, const Messages& messages) const;

  // When epoch 2 is forgotten: a server's ACK of the client's Finished may be lost until then.
  Milliseconds deadline() const { return forget_at_; }
  void expire(Milliseconds now, Messages& messages);

  const Agreement& agreed() const { return agreed_; }
  // What is sent has the one before (Messages::epoch()) until a session store knows of a new one.
  uint64_t writeEpoch() const { return write_epoch_; }
  uint64_t readEpoch() const { return read_epoch_; }
  // Whether records whose epoch ends in these bits may be of this association's updated keys.
  bool updatedTo(uint64_t epoch_bits) const {
    const auto is = [&](uint64_t epoch) { return epoch > 3 && epoch % 4 == epoch_bits; };
    return is(read_epoch_) || is(read_epoch_ - 1);
  }
  Opened describe() const;

 private:
  // The message of this type that waits for its turn; null: there is none.
  WaitingMessage* queued(uint8_t type);
  void enqueue(uint8_t type, Bytes body, Messages& messages, SessionStep& step);
  std::optional<Failure> takeKeyUpdate(uint64_t epoch, ByteView body, Messages& messages,
                                       SessionStep& step);
  std::optional<Failure> takeNewIds(ByteView body, Messages& messages);
  Bytes pathRecord(PathMessageType type, const PathCookie& cookie, Messages& messages,
                   SessionStep& step);
  std::optional<Failure> checkWear(Messages& messages, SessionStep& step);

  bool older(Milliseconds since, Milliseconds than, Milliseconds now) const {
    return renew_after_ > 0 && now >= since + than;
  }

  const Role role_;
  const Milliseconds renew_after_;
  Agreement agreed_;
  uint64_t read_epoch_ = 3, write_epoch_ = 3;
  Milliseconds read_since_ = 0, write_since_ = 0;  // when the keys in use were new
  bool updating_ = false;                          // a KeyUpdate of ours waits for its ACK
  bool requested_ = false;  // a RequestConnectionId of ours waits for its answer
  std::vector<WaitingMessage> queue_;
  std::vector<Bytes> spare_ids_;  // of the peer's
  Milliseconds forget_at_ = kNever;
};

}  // namespace mcbn::dtls13
