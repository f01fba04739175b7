// open_session.h: a DTLS association whose records we make: what is left of it when its handshake
// is done, a few hundred bytes.
//
//   train --receive()--> messages, alerts, path messages      messages --send()--> records
//
// A server's last flight is kept as the datagrams that were sent, since a peer that missed it asks
// for it again (RFC 6347 section 4.2.4): the same bytes may go out any number of times, while
// another encryption under a number used before would give away the key stream.
//
// Ownership   a DtlsSession owns it, in place.
// Thread      the session's; there are no locks here.
// Spec        RFC 6347 section 4.1, RFC 9146, RFC 9853 (return routability)
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "record/record_layer.h"
#include "session/open_state13.h"
#include "session/reservation.h"
#include "session/session_secrets.h"
#include "session/session_sink.h"

namespace mcbn {

// All that an open session is. A handshake that proved the key makes one, and so does a sealed
// session that was opened (sealed_session.h).
struct OpenState {
  const SSL_CIPHER* cipher;  // of a suite that the record layer knows
  Role role;                 // ours
  ExporterSecrets secrets;
  RecordPosition position;
  size_t max_fragment;  // bytes of a record's content, either way (RFC 6066 section 4)
  ConnectionIds ids;
  bool return_routability;
  Identity identity;
  AgreedNames names;
  Milliseconds round_trip;
  std::vector<Bytes> last_flight;  // a server's, as it was sent; while it may be asked for
  // What the secrets give (recordKeys()). Empty in a state that was taken from a session.
  RecordKeys keys = {};
  uint32_t replay_window = ReplayWindow::kDefault;  // see DtlsOptions
  uint64_t forgery_limit = 0;                       // the same
};

class OpenSession {
 public:
  // `contexts` may be null: then cipher contexts stay as long as the session.
  OpenSession(OpenState state, CipherContexts* contexts);
  OpenSession(const OpenSession&) = delete;
  OpenSession& operator=(const OpenSession&) = delete;

  // Datagrams in the order in which they came, or what is left of one. Records are decrypted where
  // they lie, several at a time; each is then looked at in its turn.
  void receive(std::span<const MutableBytes> datagrams, SessionStep& step);
  // See DtlsSession.
  bool send(ByteView message, SessionStep& step);
  size_t sendInPlace(std::span<const MutableBytes> messages, SessionStep& step);
  void close(SessionStep& step) { sendAlert(alert::kWarning, alert::kCloseNotify, step); }
  bool challengePath(const PathCookie& cookie, SessionStep& step);
  size_t pathMessageSize() const { return records_.sealedSize(PathMessage::kBytes); }

  // All that it is, to go on elsewhere. This one must send and receive no more.
  OpenState takeState();
  // From now on numbers are used only as far as a row says (reservation.h). `from_row`: the session
  // came from one. `mtu`: bytes of UDP payload.
  void reserve(bool from_row, size_t mtu, Milliseconds now);
  // Whether a row is due.
  bool rowDue(Milliseconds now) {
    return reservation_ && !taken_ &&
           reservation_->due(records_.nextWrite(), records_.newestRead(), now);
  }
  // Whether something waits for the row: records of the peer.
  bool rowAwaited() const { return reservation_ && reservation_->holds(); }
  Milliseconds rowDeadline() const { return reservation_ ? reservation_->settleAt() : kNever; }
  // A copy of the session as it must go on after a crash; rowWritten() follows when it is stored.
  OpenState row(Milliseconds now);
  void rowWritten(SessionStep& step);
  // What the row says besides is not true any more.
  void rowOutdated() {
    if (reservation_) reservation_->want();
  }
  // What opened() tells of it.
  Opened describe() const;
  // Bytes of the largest message that fits a datagram of `mtu` bytes.
  size_t maxMessage(size_t mtu) const;

  const Identity& identity() const { return identity_; }
  ByteView ownConnectionId() const { return records_.ownConnectionId(); }
  ByteView peerConnectionId() const { return records_.peerConnectionId(); }
  bool heardNewer() const { return heard_newer_; }
  // Ever, in this process.
  bool heardMessage() const { return heard_message_; }
  bool returnRoutability() const { return return_routability_; }
  size_t maxFragment() const { return max_fragment_; }
  Milliseconds roundTrip() const { return round_trip_; }
  bool exportKeyingMaterial(std::string_view label, std::optional<ByteView> context,
                            std::span<uint8_t> out) const {
    return secrets_.exportKeyingMaterial(label, context, out);
  }

 private:
  void takeTrain(std::span<IncomingRecord> train, SessionStep& step);
  void take(const IncomingRecord& incoming, SessionStep& step);
  void takeContent(ByteView content, SessionStep& step);
  OpenState copyState() const;
  void takeAlert(ByteView content, SessionStep& step);
  void takePathMessage(ByteView content, SessionStep& step);
  void repeatLastFlight(SessionStep& step);
  void sendAlert(uint8_t level, uint8_t description, SessionStep& step);
  size_t sealInto(uint8_t type, ByteView content, SessionStep& step);
  void countSent(size_t datagram, SessionStep& step);
  void endIfExhausted(SessionStep& step);

  const SSL_CIPHER* const cipher_;
  RecordLayer records_;
  ExporterSecrets secrets_;
  Identity identity_;
  std::unique_ptr<const AgreedNames> names_;  // null: there are none
  std::vector<Bytes> last_flight_;
  std::unique_ptr<Reservation> reservation_;  // null: there is no session store
  Milliseconds round_trip_;
  const uint16_t max_fragment_;
  const Role role_;
  const bool return_routability_;
  bool heard_newer_ = false;
  bool heard_message_ = false;
  bool taken_ = false;  // takeState() was called
};

}  // namespace mcbn
