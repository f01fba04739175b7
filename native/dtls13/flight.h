// flight.h: handshake messages of ours that the peer has not acknowledged, as fragments.
//
//   post() --send()--> records in datagrams        ACK --acknowledge()--> what is left
//
// Fragments are cut once, so that an ACK of any sending is an ACK of the same bytes, and only what was
// not acknowledged is sent again. Several messages that do not belong together (a KeyUpdate, a
// NewConnectionId) are one flight here: each waits for its own ACK (RFC 9147 section 5.8.4).
//
// An ACK in the clear may be anybody's. It spares its records the next sending, no more: a flight
// that is still not answered then goes out whole.
//
// Ownership   Messages owns it; the bodies are kept until they are acknowledged.
// Thread      the session's.
// Spec        RFC 9147 sections 5.5 (fragments), 5.8.1 (retransmission), 7.2 (ACKs)
#pragma once

#include <vector>

#include "dtls13/records.h"
#include "session/session_sink.h"

namespace mcbn::dtls13 {

class Flight {
 public:
  // `mtu`: bytes of UDP payload, 128 or more.
  explicit Flight(size_t mtu) : mtu_(mtu) {}

  void startAt(uint32_t sequence) { next_ = sequence; }
  // The number of the next message; 65,536: there is no other.
  uint32_t next() const { return next_; }
  // RFC 9147 section 5.2: numbers of messages do not begin anew.
  bool mayPost() const { return next_ <= UINT16_MAX; }
  // The peer has answered: nothing of it is needed any more.
  void clear();
  void post(uint64_t epoch, uint8_t type, Bytes body);
  // Sends what was not acknowledged. False: nothing could be sent, because OpenSSL refused or there
  // was nothing.
  bool send(Records& records, SessionStep& step);

  // Resend: the ACK says that something has arrived, and something else has not. An empty one says
  // that what came was of no use.
  enum class Heard : uint8_t { Malformed, Nothing, Resend };
  // `authentic`: it was encrypted.
  Heard acknowledge(ByteView ack, bool authentic);

  // Whether a message of this type waits for its ACK.
  bool waits(uint8_t type) const;
  bool empty() const { return messages_.empty(); }
  // The first that does; not of an empty flight.
  WaitingMessage first() const { return {messages_[0].type, messages_[0].body}; }

 private:
  static constexpr size_t kSendingsKept = 8;

  struct Piece {
    uint32_t offset, length;
    bool acknowledged = false;
    bool spared = false;  // from the next sending
    std::vector<RecordNumber> sendings = {};
  };
  struct Message {
    uint64_t epoch;
    uint8_t type;
    uint16_t sequence;
    Bytes body;
    std::vector<Piece> pieces;
  };

  void cut(Message& message, const Records& records) const;
  bool allSpared() const;

  const size_t mtu_;
  uint32_t next_ = 0;
  std::vector<Message> messages_;
};

// An ACK for these records: in order, each once (RFC 9147 section 7), the newest of them in at most
// `most` bytes.
Bytes writeAck(std::vector<RecordNumber> numbers, size_t most);

}  // namespace mcbn::dtls13
