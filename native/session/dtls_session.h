// dtls_session.h: one DTLS 1.2 association, without any I/O.
//
//   received datagram --receive()--> [ the phase ] --SessionSink--> datagrams, messages, events
//
//   DtlsHandshake ----proved----> OpenSession       our records; can be exported
//   (freed whole)        `------> OpensslSession    OpenSSL's records: no AEAD, or it is wanted so
//
// A session is in one phase at a time, and only that phase exists. Never touches a socket, a clock
// or JavaScript: time comes in as milliseconds of a monotonic clock, and test/native drives it with
// plain buffers.
//
// Ownership   the endpoint owns sessions. A session holds its Context until its handshake is done.
// Thread      the I/O thread of its endpoint; there are no locks here.
// Reentrancy  the sink is called while OpenSSL is on the stack: it stores, nothing else.
// Spec        RFC 6347
#pragma once

#include <memory>
#include <span>
#include <variant>

#include "session/dtls_handshake.h"

namespace mcbn {

class DtlsSession {
 public:
  enum class State : uint8_t { Handshaking, Open, Ended };

  // `ciphers` may be null: then cipher contexts stay as long as the session.
  DtlsSession(std::shared_ptr<const Context> context, const DtlsOptions& options,
              CipherContexts* ciphers = nullptr);
  // Open from the beginning.
  DtlsSession(OpenState state, CipherContexts* ciphers);
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

  // What opened() would tell, of a session that was open from the beginning; only where portable().
  Opened describe() const;
  // Bytes of the largest message that fits `mtu` bytes of UDP payload; the same.
  size_t maxMessage(size_t mtu) const;

  // Records are decrypted where they lie: of the datagrams, rubbish is left.
  void receive(MutableBytes datagram, Milliseconds now, SessionSink& sink) {
    receive(std::span<const MutableBytes>(&datagram, 1), now, sink);
  }
  // The same for several, in order: cheaper, and nothing else.
  void receive(std::span<const MutableBytes> datagrams, Milliseconds now, SessionSink& sink);
  // The answer to a question. `failure` ends the handshake with it (after an answer that looks like
  // an unknown identity to the peer).
  void answer(uint32_t number, PskAnswer answer, std::optional<Failure> failure, Milliseconds now,
              SessionSink& sink);
  // Whether question `number` of its handshake is open.
  bool asks(uint32_t number) const { return shakingHands() && shakingHands()->asks(number); }
  // False when the session is not open or the record could not be made.
  bool send(ByteView message, Milliseconds now, SessionSink& sink);
  // The same for messages with kRoomBefore and kRoomBehind bytes around them: their records are
  // made there, if they fit. How many of them, from the first on.
  size_t sendInPlace(std::span<const MutableBytes> messages, Milliseconds now, SessionSink& sink);
  // Says close_notify if the session is open, and a client that it gives up its handshake; no
  // ended() follows.
  void close(SessionSink& sink);

  // Whether takeState() gives anything: it is open, and its records are ours.
  bool portable() const { return open() && ours(); }
  // All that it is, to go on elsewhere; it has ended then, and sends nothing more. No ended()
  // follows.
  std::optional<OpenState> takeState();

  // Its row in a session store: see OpenSession, and only where portable().
  void reserve(bool from_row, size_t mtu, Milliseconds now) { ours()->reserve(from_row, mtu, now); }
  bool rowDue(Milliseconds now) { return portable() && ours()->rowDue(now); }
  bool rowAwaited() const { return portable() && ours()->rowAwaited(); }
  Milliseconds rowDeadline() const { return portable() ? ours()->rowDeadline() : kNever; }
  OpenState row(Milliseconds now) { return ours()->row(now); }
  void rowOutdated() {
    if (portable()) ours()->rowOutdated();
  }
  // The row last made is stored: what waited for it is delivered.
  void rowWritten(Milliseconds now, SessionSink& sink);

  // When expire() wants to be called; kNever if not at all.
  Milliseconds deadline() const;
  void expire(Milliseconds now, SessionSink& sink);

  State state() const { return state_; }
  bool open() const { return state_ == State::Open; }
  // The peer has changed to the keys being agreed on: its next encrypted handshake record is a
  // Finished.
  bool awaitsFinished() const;
  // Of the peer's key; empty until it is known.
  const Identity& identity() const;
  // Whether OpenSSL's SSL is still needed.
  bool onOpenssl() const { return !ours(); }
  const SessionStats& stats() const { return stats_; }
  // Of an open session; empty where none is used.
  ByteView ownConnectionId() const { return ours() ? ours()->ownConnectionId() : ByteView(); }
  ByteView peerConnectionId() const { return ours() ? ours()->peerConnectionId() : ByteView(); }
  // The datagram last received had an authentic record newer than all before it (RFC 9146 section
  // 6).
  bool heardNewer() const { return ours() && ours()->heardNewer(); }
  bool heardMessage() const { return ours() && ours()->heardMessage(); }
  // Whether both sides do the return routability check (RFC 9853).
  bool returnRoutability() const { return ours() && ours()->returnRoutability(); }
  // Sends a path_challenge, of pathMessageSize() bytes. False when the record could not be made.
  bool challengePath(const PathCookie& cookie, SessionSink& sink);
  size_t pathMessageSize() const { return ours() ? ours()->pathMessageSize() : 0; }
  // 0: not known.
  Milliseconds roundTrip() const { return ours() ? ours()->roundTrip() : 0; }
  void setKeylog(bool on);
  bool exportKeyingMaterial(std::string_view label, std::optional<ByteView> context,
                            std::span<uint8_t> out) const;

 private:
  using ShakingHands = std::unique_ptr<DtlsHandshake>;
  using OnOpenssl = std::unique_ptr<OpensslSession>;

  DtlsHandshake* shakingHands();
  const DtlsHandshake* shakingHands() const;
  OpenSession* ours() { return std::get_if<OpenSession>(&phase_); }
  const OpenSession* ours() const { return std::get_if<OpenSession>(&phase_); }

  void settle(ByteView rest, SessionStep& step);
  void receiveOpen(std::span<const MutableBytes> datagrams, SessionStep& step);
  void receiveOpen(MutableBytes records, SessionStep& step) { receiveOpen({&records, 1}, step); }

  State state_ = State::Handshaking;
  CipherContexts* const ciphers_;
  std::variant<ShakingHands, OpenSession, OnOpenssl> phase_;
  SessionStats stats_;
};

}  // namespace mcbn
