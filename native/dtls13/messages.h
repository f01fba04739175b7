// messages.h: handshake messages exchanged reliably over records that are not.
//
//   records --takeFragments(), takeAck()--> inbox()         post(), send() --> records, again and again
//
// Ours are sent until the peer acknowledges them, by an ACK or by its next flight. The peer's are
// acknowledged where nothing else answers them: at once when something is missing or the handshake is
// done, and a quarter of the retransmission time after a flight that goes on too slowly.
//
// Ownership   a Dtls13Session owns it, and with it the records of all epochs.
// Thread      the session's.
// Spec        RFC 9147 sections 5.8 (timeout and retransmission) and 7 (ACK)
#pragma once

#include <optional>

#include "dtls13/flight.h"
#include "dtls13/message_inbox.h"
#include "session/dtls_options.h"
#include "session/handshake_timers.h"

namespace mcbn::dtls13 {

class Messages {
 public:
  Messages(Role role, const DtlsOptions& options);

  Records& records() { return records_; }
  const Records& records() const { return records_; }
  MessageInbox& inbox() { return inbox_; }
  HandshakeTimers& timers() { return *timers_; }
  Milliseconds roundTrip() const { return round_trip_ != 0 ? round_trip_ : timers_->roundTrip(); }

  // Whether datagrams have room for a little more than what surrounds it, with this ID of the peer's.
  bool leavesRoom(ByteView peer_id) const { return peer_id.size() + kLeastRoom <= mtu_; }

  // The epoch of ACKs and alerts from now on: the highest there is (RFC 9147 section 7).
  void speakIn(uint64_t epoch) { epoch_ = epoch; }
  uint64_t epoch() const { return epoch_; }
  // The peer's flight is whole: what is posted now answers it, and acknowledges all of it.
  void beginFlight();
  // The same of a server, whose last flight nothing answers but an ACK.
  void answered(SessionStep& step);
  void startAt(uint16_t sequence) { flight_.startAt(sequence); }
  bool mayPost() const { return flight_.mayPost(); }
  // The first message of a handshake, once more and no later; what waits for an answer goes on waiting.
  void sendFirst(uint8_t type, Bytes body, SessionStep& step);
  // Nothing that the peer has said counts any more, and our next message is this one.
  void startOver(uint16_t sequence);
  // How often the flight was sent again.
  unsigned repeats() const { return repeats_; }
  void post(uint64_t epoch, uint8_t type, Bytes body) {
    flight_.post(epoch, type, std::move(body));
  }
  // What was posted, for the first time.
  void send(SessionStep& step);
  // Whether a message of ours waits for its ACK.
  bool waits(uint8_t type) const { return flight_.waits(type); }
  bool waiting() const { return !flight_.empty(); }
  // One record in a datagram. False when it could not be made.
  bool sendRecord(uint8_t type, ByteView content, SessionStep& step);
  void sendAlert(uint8_t level, uint8_t description, SessionStep& step);

  // False: authentic fragments that contradict each other.
  bool takeFragments(const OpenedRecord& record, SessionStep& step);
  void takeAck(const OpenedRecord& record, SessionStep& step);
  // Something came that cannot be read yet: if nothing else comes, an ACK says so, be it empty.
  void noteUnreadable(Milliseconds now);
  // After the last record of what was received.
  void settle(SessionStep& step);
  // The peer's last flight came, and ours need no more than ACKs.
  void opened(Milliseconds now);

  // ---- to go on elsewhere, or after a crash

  // Nothing of the peer's messages is there in part.
  bool whole() const { return inbox_.idle(); }
  void save(OpenState13& state) const;
  // Of an association that is open; its records are there already.
  void resume(const OpenState13& state, Milliseconds now);
  // Messages taken and made. With a session store a flight or an ACK waits until the store has what it tells: after a
  // crash the peer would else know of messages that we have forgotten.
  uint64_t changes() const { return uint64_t{inbox_.next()} + flight_.next(); }
  void setStored(uint64_t changes) { stored_ = changes; }
  bool mayTell() const { return changes() <= stored_; }
  // What waited for that.
  void tell(SessionStep& step);

  Milliseconds deadline() const;
  // Sends what is due; gives what is not about sending.
  HandshakeTimers::Due expire(SessionStep& step);

 private:
  // Bytes of header, tag and a fragment of 64 bytes.
  static constexpr size_t kLeastRoom = 98;

  void askToRepeat(bool authentic);
  void repeat(SessionStep& step);
  void sendAck(SessionStep& step);
  void waitNoMore(SessionStep& step);

  const Role role_;
  const size_t mtu_;
  const Milliseconds first_retransmission_;
  Records records_;
  Flight flight_;
  MessageInbox inbox_;
  std::optional<HandshakeTimers> timers_;
  std::vector<RecordNumber> acks_;
  uint64_t epoch_ = 0;
  Milliseconds wait_ = 0;  // for an answer to the last sending
  Milliseconds sent_at_ = 0;
  Milliseconds ack_at_ = kNever;
  Milliseconds round_trip_ = 0;
  Milliseconds repeat_at_ = kNever;  // because the peer, or somebody in its name, asks for it
  unsigned repeats_ = 0;
  uint64_t stored_ = UINT64_MAX;  // of changes()
  bool unsent_ = false;           // the flight waits for tell()
  bool ack_now_ = false;
  bool repeated_ = false;  // anything, ever: round trips do not count then (RFC 6298 section 3)
  bool open_ = false;
};

}  // namespace mcbn::dtls13
