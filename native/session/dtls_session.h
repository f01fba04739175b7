// dtls_session.h: one DTLS 1.2 association, without any I/O.
//
//   received datagram --receive()--> [ screen ][ SSL ] --SessionSink--> datagrams, messages, events
//                          once open [ RecordLayer   ]
//
// OpenSSL does the handshake. When it is done, the record layer gets its keys and OpenSSL's SSL, 47
// to 120 KB, is freed: what is left is a few hundred bytes. Our last flight is kept as the
// datagrams that were sent, since a peer that missed it asks for it again (RFC 6347 section 4.2.4);
// the same bytes may go out any number of times, while a new encryption under a number used before
// would give away the key stream. Suites without an AEAD, and the option `records: 'openssl'`, keep
// OpenSSL's SSL.
//
// Never touches a socket, a clock or JavaScript: time comes in as milliseconds of a monotonic
// clock, and test/native drives it with plain buffers.
//
// Ownership   the endpoint owns sessions. A session holds its Context.
// Thread      the I/O thread of its endpoint; there are no locks here.
// Reentrancy  the sink is called while OpenSSL is on the stack: it stores, nothing else.
// Files       dtls_session.cc: the handshake; dtls_connection_id.cc: its records with a connection
// ID; dtls_open.cc: what follows it; dtls_path.cc: return routability; dtls_deadlines.cc: time.
// Spec        RFC 6347 section 4.2 (handshake, retransmission), RFC 4279 (PSK suites).
#pragma once

#include <memory>
#include <variant>
#include <vector>

#include "record/handshake_reframing.h"
#include "record/handshake_screen.h"
#include "record/message_room.h"
#include "record/path_message.h"
#include "record/record_layer.h"
#include "session/connection_id_extension.h"
#include "session/datagram_bio.h"
#include "session/handshake.h"
#include "session/session_secrets.h"

namespace mcbn {

// Milliseconds of a monotonic clock.
using Milliseconds = uint64_t;
constexpr Milliseconds kNever = UINT64_MAX;

struct SessionStats {
  uint64_t datagrams_received = 0;
  uint64_t datagrams_sent = 0;
  uint64_t bytes_received = 0;  // UDP payload
  uint64_t bytes_sent = 0;
  uint64_t messages_received = 0;
  uint64_t messages_sent = 0;
  uint64_t retransmits = 0;
  DropCounts dropped;  // records, by the screen or a record layer
};

// What a session tells, in the order in which it happened.
class SessionSink : public DatagramSink {
 public:
  // Room for at least `capacity` bytes of one message; committed with its true length, or not at
  // all.
  virtual uint8_t* reserveMessage(size_t capacity) = 0;
  virtual void commitMessage(size_t length) = 0;
  // Room for a datagram to send; committed, or not at all.
  virtual uint8_t* reserveDatagram(size_t capacity) = 0;
  virtual void commitDatagram(size_t length) = 0;
  // A datagram in memory that the caller of sendInPlace() knows to last.
  virtual void lendDatagram(ByteView bytes) = 0;
  // The same, but to where the datagram being received came from (RFC 9853 section 5.5).
  virtual void commitReply(size_t length) { commitDatagram(length); }
  // The peer has echoed the cookie of a path_challenge.
  virtual void pathResponse(const PathCookie&) {}
  virtual void opened(const Opened& opened, size_t max_message) = 0;
  virtual void question(const PskQuestion& question) = 0;
  // Nothing follows. No failure: the peer said close_notify.
  virtual void ended(const std::optional<Failure>& failure) = 0;
  virtual void keylog(const std::string& line) = 0;
  virtual void dropped(DropReason reason) = 0;
  // A flight of the handshake was sent again.
  virtual void retransmitted() = 0;

 protected:
  ~SessionSink() = default;
};

struct DtlsOptions {
  size_t mtu = 1400;                        // bytes of UDP payload
  Milliseconds handshake_timeout = 10'000;  // 0: never
  // First retransmission; 0: 1,000 until a round trip is known, then four round trips but not under
  // 250.
  Milliseconds retransmit_timeout = 0;
  // Records, 32 to 65,536 (RFC 6347 section 4.1.2.6). OpenSSL's record layer always has 64.
  uint32_t replay_window = ReplayWindow::kDefault;
  bool keylog = false;
  // Bytes of the connection IDs that we want in records to us, 0 for none; nullopt: no connection
  // IDs in either direction (RFC 9146). The endpoint makes them: see useConnectionId().
  std::optional<size_t> connection_id;
  bool openssl_records = false;  // keep every session on OpenSSL's record layer
  std::string servername;
};

class DtlsSession : private DatagramSink {
 public:
  enum class State : uint8_t { Handshaking, Open, Ended };

  // `ciphers` may be null: then cipher contexts stay as long as the session.
  DtlsSession(std::shared_ptr<const Context> context, const DtlsOptions& options,
              CipherContexts* ciphers = nullptr);
  DtlsSession(const DtlsSession&) = delete;
  DtlsSession& operator=(const DtlsSession&) = delete;

  // Before accept() or connect(): agree on connection IDs if the peer can (RFC 9146). `own`: what
  // the peer shall put into its records; may be empty. Not with `openssl_records`.
  void useConnectionId(Bytes own);

  // Server: `hello` is a datagram with a ClientHello whose cookie has been verified.
  void accept(ByteView hello, Milliseconds now, SessionSink& sink);
  // Client: sends the ClientHello; the key is given, or asked for when the server's hint is known.
  void connect(std::optional<std::pair<Identity, PskEntry>> key, Milliseconds now,
               SessionSink& sink);

  // Records are decrypted where they lie: of the datagram, rubbish is left.
  void receive(MutableBytes datagram, Milliseconds now, SessionSink& sink);
  // The answer to a question. `failure` ends the handshake with it (after an answer that looks like
  // an unknown identity to the peer).
  void answer(uint32_t number, PskAnswer answer, std::optional<Failure> failure, Milliseconds now,
              SessionSink& sink);
  // False when the session is not open or the record could not be made.
  bool send(ByteView message, Milliseconds now, SessionSink& sink);
  // The same for a message with kRoomBefore and kRoomBehind bytes around it: its record is made
  // there, if it fits.
  bool sendInPlace(MutableBytes message, Milliseconds now, SessionSink& sink);
  // Says close_notify if the session is open, and a client that it gives up its handshake; no
  // ended() follows.
  void close(SessionSink& sink);

  // When expire() wants to be called; kNever if not at all.
  Milliseconds deadline() const;
  void expire(Milliseconds now, SessionSink& sink);

  State state() const { return state_; }
  bool open() const { return state_ == State::Open; }
  // The peer has changed to the keys being agreed on: its next encrypted handshake record is a
  // Finished.
  bool awaitsFinished() const;
  // Of the peer's key; empty until it is known.
  const Identity& identity() const { return handshake_ ? handshake_->psk().identity() : identity_; }
  // Whether OpenSSL's SSL is still needed.
  bool onOpenssl() const { return handshake_ != nullptr; }
  const SessionStats& stats() const { return stats_; }
  // Of an open session; empty where none is used.
  ByteView ownConnectionId() const;
  ByteView peerConnectionId() const;
  // The datagram last received had an authentic record newer than all before it (RFC 9146 section
  // 6).
  bool heardNewer() const { return heard_newer_; }
  // Whether both sides do the return routability check (RFC 9853).
  bool returnRoutability() const { return return_routability_; }
  // Sends a path_challenge, of pathMessageSize() bytes. False when the record could not be made.
  bool challengePath(const PathCookie& cookie, SessionSink& sink);
  size_t pathMessageSize() const;
  Milliseconds roundTrip() const { return round_trip_; }  // 0: not known
  void setKeylog(bool on) {
    if (handshake_) handshake_->setKeylog(on);
  }
  bool exportKeyingMaterial(std::string_view label, std::optional<ByteView> context,
                            std::span<uint8_t> out) const;

 private:
  static constexpr size_t kMaxMessage = 16'384;  // RFC 6347 section 4.1: a record's plaintext
  static constexpr uint16_t kEpoch = 1;          // of everything that is encrypted

  class Step;  // around every call from outside
  using Screen = std::variant<ServerScreen, ClientScreen>;

  // From OpenSSL, through the BIO.
  void datagram(ByteView bytes) override;
  void emit(ByteView bytes);
  static unsigned onTimer(SSL* ssl, unsigned microseconds);
  HandshakeScreen& screen();
  Role role() const { return role_; }

  void inspectAll(ByteView records, Milliseconds now);
  size_t shortestRecord();
  void inspect(const DtlsRecord& record, Milliseconds now);
  void drop(DropReason reason);
  void noteAlert(const DtlsRecord& record, Milliseconds now);
  void forgetAlert();
  void settleKey(Milliseconds now);
  void releaseHeld(Milliseconds now);
  void feed(const DtlsRecord& record, Milliseconds now);
  void advance(Milliseconds now);
  void finish();
  // dtls_connection_id.cc
  size_t connectionIdLength() const;
  bool hasConnectionIdDue(const DtlsRecord& record) const;
  static Failure connectionIdRefused();
  bool reframes();
  void takeReframed(const DtlsRecord& record, Milliseconds now);
  void retryEarly(Milliseconds now);
  void emitReframed(ByteView bytes);
  void keepEarly(const DtlsRecord& record);
  // dtls_open.cc
  bool takeOver(uint64_t last_read);
  void readEarlyRecords();
  void readRecord(const DtlsRecord& record);
  void takeAlert(ByteView content);
  void takePathMessage(ByteView content);
  void repeatLastFlight();
  void sendAlert(uint8_t level, uint8_t description);
  void countSent(size_t datagram);
  void countDatagram(size_t bytes);
  size_t sealInto(uint8_t type, ByteView content);
  void endIfExhausted();
  void readOpen(const DtlsRecord& record);
  void readMessages();
  void suspectKey(Milliseconds now);
  void armRetransmission(Milliseconds now);
  void retransmit(Milliseconds now);
  void nameSilence(Milliseconds now);
  void fail(Failure failure);
  void sendPlaintextAlert(int description);
  void cancelHandshake();
  void flushKeylog();

  DtlsOptions options_;
  CipherContexts* const ciphers_;
  const Role role_;
  Wire wire_;
  std::unique_ptr<Handshake> handshake_;  // null once the record layer has taken over
  std::unique_ptr<Screen> screen_;
  // Null unless connection IDs are wanted, and once the record layer has taken over.
  std::unique_ptr<ConnectionIdExtension> connection_id_;
  std::unique_ptr<HandshakeReframing> reframing_;  // made when the keys are known
  std::unique_ptr<RecordLayer> records_;
  std::optional<ExporterSecrets> secrets_;
  Identity identity_;
  State state_ = State::Handshaking;
  SessionSink* sink_ = nullptr;  // of the step in progress
  SessionStats stats_;

  size_t shortest_record_ = 0;  // 0: not known yet
  std::vector<Bytes> held_;
  std::vector<Bytes>
      early_;  // encrypted records, no Finished, that came before the handshake's end
  size_t early_bytes_ = 0;
  std::vector<Bytes> last_flight_;  // a server's, as it was sent
  std::optional<Failure> lookup_failure_;
  uint64_t plaintext_sequence_ = 0;  // next free record number of epoch 0
  uint64_t encrypted_sequence_ = 0;  // the same of epoch 1
  uint64_t last_fed_ = 0;            // number of the last epoch-1 record that OpenSSL was given

  Milliseconds started_ = 0;
  Milliseconds flight_sent_ = 0;   // when our last new flight went out
  Milliseconds round_trip_ = 0;    // 0: not known
  Milliseconds last_timeout_ = 0;  // what OpenSSL's timer was last set to
  Milliseconds retransmit_at_ = kNever;
  Milliseconds suspicion_at_ = kNever;  // the key is taken for wrong then
  Milliseconds alert_at_ = kNever;      // an unauthenticated alert is believed then
  int alert_hint_ = kNoAlert;
  unsigned flights_unanswered_ = 0;  // sendings of the client's last flight
  Milliseconds finished_sent_ = 0;
  bool heard_ = false;  // anything has come from the peer
  bool heard_newer_ = false;
  bool return_routability_ = false;
};

// Sets what one call into the session needs, and cleans up behind it on every path.
class DtlsSession::Step {
 public:
  Step(DtlsSession& session, SessionSink& sink) : session_(session) {
    session_.sink_ = &sink;
    session_.wire_.outgoing = &session_;
    clearOpensslErrors();
  }
  ~Step() {
    session_.flushKeylog();
    session_.sink_ = nullptr;
    session_.wire_.outgoing = nullptr;
    session_.wire_.incoming = {};
    clearOpensslErrors();
  }

 private:
  DtlsSession& session_;
};

}  // namespace mcbn
