// dtls13_session.h: one DTLS 1.3 association with a pre-shared key, without any I/O. The handshake is
// mcbn's own: of OpenSSL it uses libcrypto.
//
//   received datagram --receive()--> [ the phase ] --SessionSink--> datagrams, messages, events
//
//   Idle --connect()--> ClientHandshake ---.
//     `---accept()----> ServerHandshake ----`--Established--> OpenAssociation
//
// Its face is that of DtlsSession (session/dtls_session.h): time comes in as milliseconds, a key is
// asked for by SessionSink::question() and answered later, nothing of JavaScript or sockets.
//
// Ownership   the endpoint owns sessions.
// Thread      the I/O thread of its endpoint; there are no locks here.
// Reentrancy  the sink stores, nothing else.
// Spec        RFC 9147, RFC 8446
#pragma once

#include "dtls13/client_handshake.h"
#include "dtls13/open_association.h"
#include "dtls13/server_handshake.h"
#include "session/reservation.h"
#include "session/seal_fault.h"

namespace mcbn::dtls13 {

// Before a handshake has begun. A client without a key has asked for one.
struct Idle {
  uint32_t question = 0;
};

class Dtls13Session {
 public:
  enum class State : uint8_t { Handshaking, Open, Ended };

  Dtls13Session(Role role, std::shared_ptr<const Settings> settings, const DtlsOptions& options);
  // Open from the beginning; faultOf() has found no fault.
  Dtls13Session(const OpenState13& state, std::shared_ptr<const Settings> settings,
                const DtlsOptions& options, Milliseconds now);
  // Whether it can go on here: its suite is one of the settings, and all of it fits together.
  static SealFault faultOf(const OpenState13& state, const Settings& settings);
  Dtls13Session(const Dtls13Session&) = delete;
  Dtls13Session& operator=(const Dtls13Session&) = delete;

  // Before accept() or connect(): agree on connection IDs if the peer can; see DtlsSession.
  void useConnectionId(Bytes own) { own_id_ = std::move(own); }

  // Server.
  void accept(const VerifiedHello& hello, Milliseconds now, SessionSink& sink);
  // Client: without a key it is asked for first. `others` are offered after it, all of one hash.
  void connect(std::optional<std::pair<Identity, PskEntry>> key, Milliseconds now,
               SessionSink& sink, std::vector<ClientKey> others = {});

  void receive(MutableBytes datagram, Milliseconds now, SessionSink& sink) {
    receive(std::span<const MutableBytes>(&datagram, 1), now, sink);
  }
  void receive(std::span<const MutableBytes> datagrams, Milliseconds now, SessionSink& sink);
  void answer(uint32_t number, PskAnswer answer, std::optional<Failure> failure, Milliseconds now,
              SessionSink& sink);
  bool asks(uint32_t number) const;
  bool send(ByteView message, Milliseconds now, SessionSink& sink);
  // Messages with kRoomBefore and kRoomBehind bytes around them, of which records use what they need;
  // those with a long connection ID are made elsewhere. How many were sent, from the first on.
  size_t sendInPlace(std::span<const MutableBytes> messages, Milliseconds now, SessionSink& sink);
  void close(SessionSink& sink);

  // Whether takeState() gives anything: it is open, the peer has acknowledged a client's Finished, and no message of
  // the peer's is there in part.
  bool portable() const;
  // All that it is, to go on elsewhere; it has ended then, and sends nothing more. No ended() follows.
  std::optional<OpenState13> takeState(Milliseconds now);
  // Its row in a session store, as DtlsSession has it (session/reservation.h). Only where portable().
  void reserve(bool from_row, size_t mtu, Milliseconds now);
  bool rowDue(Milliseconds now);
  bool rowAwaited() const;
  Milliseconds rowDeadline() const { return reservation_ ? reservation_->settleAt() : kNever; }
  OpenState13 row(Milliseconds now);
  void rowOutdated() {
    if (reservation_) reservation_->want();
  }
  void rowWritten(Milliseconds now, SessionSink& sink);
  // Only where open().
  Opened describe() const { return association()->describe(); }
  size_t maxMessage(size_t mtu) const { return association()->maxMessage(mtu, messages_); }

  // See OpenAssociation. False: the session is not open.
  bool updateKeys(bool both, Milliseconds now, SessionSink& sink);
  bool giveConnectionIds(std::vector<Bytes> ids, bool immediate, Milliseconds now,
                         SessionSink& sink);
  bool requestConnectionIds(uint8_t count, Milliseconds now, SessionSink& sink);
  // RFC 9853; see OpenAssociation.
  bool returnRoutability() const { return open() && association()->agreed().return_routability; }
  bool challengePath(const PathCookie& cookie, SessionSink& sink);
  size_t pathMessageSize() const {
    return association() ? association()->pathMessageSize(messages_) : 0;
  }
  bool useSpareConnectionId() { return opened() && opened()->useSpareId(messages_); }

  Milliseconds deadline() const;
  void expire(Milliseconds now, SessionSink& sink);

  State state() const { return state_; }
  bool open() const { return state_ == State::Open; }
  // A server has answered the ClientHello: what is encrypted for epoch 2 is for this session.
  bool awaitsFinished() const;
  const Identity& identity() const;
  // The alert with which a server has refused the client's key or identity; nullopt: it has not.
  std::optional<uint8_t> keyRefusal() const { return key_refusal_; }
  const SessionStats& stats() const { return stats_; }
  const std::vector<Bytes>& ownConnectionIds() const { return messages_.records().ownIds(); }
  // The first of them, which the session has had from its beginning; empty: none.
  ByteView ownConnectionId() const {
    return ownConnectionIds().empty() ? ByteView() : ByteView(ownConnectionIds().front());
  }
  ByteView peerConnectionId() const { return messages_.records().peerId(); }
  bool heardNewer() const { return heard_newer_; }
  // Ever, in this process.
  bool heardMessage() const { return heard_message_; }
  Milliseconds roundTrip() const { return messages_.roundTrip(); }
  const OpenAssociation* association() const { return std::get_if<OpenAssociation>(&phase_); }
  const Records& records() const { return messages_.records(); }
  void setKeylog(bool on);
  bool exportKeyingMaterial(std::string_view label, std::optional<ByteView> context,
                            MutableBytes out) const;

 private:
  static constexpr size_t kMostEarly = 8;
  static constexpr size_t kMostEarlyBytes = 16'384;

  OpenAssociation* opened() { return std::get_if<OpenAssociation>(&phase_); }
  void begin(std::vector<ClientKey> keys, SessionStep& step);
  void receiveEarly(MutableBytes datagram, SessionStep& step);
  void takeRecords(RecordTrain& train, SessionStep& step);
  bool hold(const OpenedRecord& record);
  void take(const OpenedRecord& record, SessionStep& step);
  void takeMessages(SessionStep& step);
  void takeAlert(const OpenedRecord& record, SessionStep& step);
  void takeEarly(SessionStep& step);
  bool startsOver(const OpenedRecord& record, SessionStep& step);
  void settle(SessionStep& step);
  void follow(Progress progress, SessionStep& step);
  void follow(std::optional<Failure> failure, SessionStep& step);
  void open(Established established, SessionStep& step);
  void doubt(Failure failure, bool ours, SessionStep& step);
  Failure explainAlert(uint8_t alert) const;
  std::string explainTimeout() const;
  void fail(Failure failure, SessionStep& step);
  void endWith(const std::optional<Failure>& failure, SessionStep& step);
  void reportDrops(SessionStep& step);

  const Role role_;
  const std::shared_ptr<const Settings> settings_;
  DtlsOptions options_;
  State state_ = State::Handshaking;
  Messages messages_;
  std::variant<Idle, ClientHandshake, ServerHandshake, OpenAssociation> phase_;
  std::optional<Bytes> own_id_;
  std::vector<Bytes> early_;  // datagrams with records of epochs that are not there yet
  size_t early_bytes_ = 0;
  std::optional<Failure> doubt_;  // what ends the handshake unless it goes on
  bool doubt_is_ours_ = false;    // then the peer is told
  std::optional<uint8_t> key_refusal_;
  std::optional<Failure> lookup_failure_;
  std::unique_ptr<Reservation> reservation_;  // null: there is no session store
  uint64_t in_row_ = 0;  // of Messages::changes(), in the row that was made last
  DropCounts reported_;
  SessionStats stats_;
  bool heard_newer_ = false;
  bool heard_message_ = false;
};

}  // namespace mcbn::dtls13
