// open_session.h: a DTLS association whose records we make: what is left of it when its handshake
// is done, a few hundred bytes.
//
//   record --receive()--> message, alert, path message      message --send()--> record
//
// A server's last flight is kept as the datagrams that were sent, since a peer that missed it asks
// for it again (RFC 6347 section 4.2.4): the same bytes may go out any number of times, while
// another encryption under a number used before would give away the key stream.
//
// Ownership   a DtlsSession owns it, in place.
// Thread      the session's; there are no locks here.
// Spec        RFC 6347 section 4.1, RFC 9146, RFC 9853 (return routability)
#pragma once

#include <vector>

#include "record/record_layer.h"
#include "session/session_secrets.h"
#include "session/session_sink.h"

namespace mcbn {

// All that an open session begins with. The handshake that proved the key makes one.
struct OpenState {
  const AeadSuite* suite;
  RecordKeys keys;
  ExporterSecrets secrets;  // what the keys were derived from
  uint64_t next_write;      // the first number of our records that was not used
  uint64_t last_read;       // the number of the peer's record that ended the handshake
  uint32_t replay_window;   // see DtlsOptions
  ConnectionIds ids;
  bool return_routability;
  Identity identity;
  Milliseconds round_trip;
  std::vector<Bytes> last_flight;  // a server's, as it was sent
};

class OpenSession {
 public:
  // `ciphers` may be null: then cipher contexts stay as long as the session.
  OpenSession(OpenState state, CipherContexts* ciphers);
  OpenSession(const OpenSession&) = delete;
  OpenSession& operator=(const OpenSession&) = delete;

  // One datagram, or what is left of it. Records are decrypted where they lie.
  void receive(MutableBytes records, SessionStep& step);
  // See DtlsSession.
  bool send(ByteView message, SessionStep& step);
  bool sendInPlace(MutableBytes message, SessionStep& step);
  void close(SessionStep& step) { sendAlert(alert::kWarning, alert::kCloseNotify, step); }
  bool challengePath(const PathCookie& cookie, SessionStep& step);
  size_t pathMessageSize() const { return records_.sealedSize(PathMessage::kBytes); }

  const Identity& identity() const { return identity_; }
  ByteView ownConnectionId() const { return records_.ownConnectionId(); }
  ByteView peerConnectionId() const { return records_.peerConnectionId(); }
  bool heardNewer() const { return heard_newer_; }
  bool returnRoutability() const { return return_routability_; }
  Milliseconds roundTrip() const { return round_trip_; }
  bool exportKeyingMaterial(std::string_view label, std::optional<ByteView> context,
                            std::span<uint8_t> out) const {
    return secrets_.exportKeyingMaterial(label, context, out);
  }

 private:
  void take(const DtlsRecord& record, SessionStep& step);
  void takeAlert(ByteView content, SessionStep& step);
  void takePathMessage(ByteView content, SessionStep& step);
  void repeatLastFlight(SessionStep& step);
  void sendAlert(uint8_t level, uint8_t description, SessionStep& step);
  size_t sealInto(uint8_t type, ByteView content, SessionStep& step);
  void countSent(size_t datagram, SessionStep& step);
  void endIfExhausted(SessionStep& step);

  RecordLayer records_;
  ExporterSecrets secrets_;
  Identity identity_;
  std::vector<Bytes> last_flight_;
  Milliseconds round_trip_;
  const bool return_routability_;
  bool heard_newer_ = false;
};

}  // namespace mcbn
