// dtls_handshake.h: a DTLS 1.2 association until both sides have proved the key.
//
//   records --receive()--> [ screen ] --> [ SSL ] --> datagrams to send
//                              |held          `--> done(): takeResult() is what goes on
//                              `--> question() --answer()-->
//
// Freed as a whole when it is done: OpenSSL's SSL, 47 to 120 KB, and all that stood in front of it.
// Only the SSL itself goes on where OpenSSL keeps the records.
//
// Ownership   a DtlsSession owns its handshake; the handshake owns the SSL.
// Thread      the session's.
// Reentrancy  the step's sink is called while OpenSSL is on the stack.
// Spec        RFC 6347 section 4.2 (handshake, retransmission), RFC 4279 (PSK suites), RFC 9146
#pragma once

#include <memory>
#include <variant>
#include <vector>

#include "record/handshake_screen.h"
#include "session/dtls_options.h"
#include "session/handshake.h"
#include "session/handshake_outbox.h"
#include "session/handshake_timers.h"
#include "session/key_proof.h"
#include "session/open_session.h"
#include "session/openssl_session.h"

namespace mcbn {

// What is left of a handshake that was finished.
struct HandshakeResult {
  Proved proved;
  size_t max_message;
  // OpenSSL's SSL, where it keeps the records.
  std::variant<OpenState, std::unique_ptr<DatagramSsl>> goes_on;
  // Records for the open session that came before it.
  std::vector<Bytes> early;
};

class DtlsHandshake {
 public:
  DtlsHandshake(std::shared_ptr<const Context> context, const DtlsOptions& options);
  DtlsHandshake(const DtlsHandshake&) = delete;
  DtlsHandshake& operator=(const DtlsHandshake&) = delete;

  // Before accept() or connect(); see DtlsSession.
  void useConnectionId(Bytes own);

  // Server: takes the ClientHello off the front of `records`, whose cookie has been verified, and
  // goes on with what follows it.
  void accept(ByteView& records, SessionStep& step);
  void connect(std::optional<std::pair<Identity, PskEntry>> key, SessionStep& step);
  // Takes records off the front, until none is left or the handshake has ended.
  void receive(ByteView& records, SessionStep& step);
  void answer(uint32_t number, PskAnswer answer, std::optional<Failure> failure, SessionStep& step);
  void expire(SessionStep& step);
  // A client says that it gives up.
  void cancel(SessionStep& step);

  // Whether question `number` is open.
  bool asks(uint32_t number) const {
    return handshake().psk().asking() && handshake().psk().question().number == number;
  }
  bool done() const { return result_ != nullptr; }
  // A client has followed a HelloVerifyRequest that was not its server's, and all it has said leads
  // nowhere: begin() again with what freshStart() gives, in the time that is left.
  bool startsAnew() const { return starts_anew_; }
  std::unique_ptr<DtlsHandshake> freshStart(SessionStep& step);

  // A client that was given two cookies, one of them by a stranger, begins a second handshake beside the
  // first: the guarded one, under record numbers that only those can know who see its hello. An answer has
  // the hello's (RFC 6347 section 4.2.1), so the right cookie is told from all others. The first that the
  // server goes on with is the one: by a ServerHello, or by such a HelloVerifyRequest. The first one follows
  // one cookie, and another only when it had to repeat itself: had it the server's, a second would have it drop the
  // ServerHello that is under way.
  //
  // After every step: begins the guarded one when it is needed, and frees it when it is not.
  void settleGuarded(SessionStep& step);
  void expireGuarded(SessionStep& step);
  // What goes on instead of this one, and takes the datagram; null: this one does.
  std::unique_ptr<DtlsHandshake> takeGuarded(ByteView datagram);

  // Once, when it is done.
  HandshakeResult takeResult();

  Milliseconds deadline() const;
  bool awaitsFinished() const;
  const Identity& identity() const { return handshake().psk().identity(); }
  // Of what goes on in its place, too.
  void setKeylog(bool on) {
    options_.keylog = on;
    handshake().setKeylog(on);
    if (guarded_) guarded_->setKeylog(on);
  }

 private:
  static constexpr uint16_t kEpoch = 1;  // of everything that is encrypted

  class Turn;  // around every call from outside
  using Screen = std::variant<ServerScreen, ClientScreen>;

  static unsigned onTimer(SSL* ssl, unsigned microseconds);

  Handshake& handshake() const { return ssl_->handshake; }
  SSL* ssl() const { return ssl_->handshake.ssl(); }
  HandshakeScreen& screen();
  bool over() const { return done() || starts_anew_ || step_->ended; }

  void receiveAll(ByteView& records);
  size_t shortestRecord();
  void inspect(const DtlsRecord& record);
  void noteFinished(const DtlsRecord& record);
  void noteCookie();
  bool foreign(const DtlsRecord& record) const;
  std::unique_ptr<DtlsHandshake> another(std::shared_ptr<uint64_t> numbers, bool guarded,
                                         SessionStep& step) const;
  void noteAlert(const DtlsRecord& record);
  bool refusesDowngrade();
  void settleKey();
  void releaseHeld();
  void takeAll(const std::vector<Bytes>& kept);
  void takeReframed(const DtlsRecord& record);
  void retryEarly();
  void keepEarly(const DtlsRecord& record);
  void feed(const DtlsRecord& record);
  void advance();
  void finish();
  size_t maxFragment() const;
  std::optional<OpenState> openState(const Proved& proved);
  void retransmit();
  bool clockSetBack() const;
  bool provesItself(const DtlsRecord& record);
  void noteKey(KeyProof::Verdict verdict);
  void noteDuplicate();
  std::string explainTimeout() const;
  std::string explainSilence() const;
  void sayGoodbye();
  void fail(Failure failure);
  void flushKeylog();

  DtlsOptions options_;
  const Role role_;
  std::unique_ptr<DatagramSsl> ssl_;
  std::optional<Screen> screen_;
  HandshakeIds ids_;
  HandshakeOutbox outbox_;
  HandshakeTimers timers_;
  KeyProof proof_;
  std::unique_ptr<HandshakeResult> result_;
  SessionStep* step_ = nullptr;  // in progress

  bool usable_ = false;  // OpenSSL had memory for it
  bool heard_ = false;   // anything has come from the peer
  int alert_hint_ = kNoAlert;
  size_t shortest_record_ = 0;  // 0: not known yet
  std::vector<Bytes> held_;
  std::vector<Bytes> early_;  // encrypted, no Finished, and before the handshake's end
  size_t early_bytes_ = 0;
  std::optional<Failure> lookup_failure_;
  uint64_t next_plaintext_ = 0;  // the number under which OpenSSL gets the next record in the clear
  Milliseconds refilled_ = 0;    // when the screen was last given room for unproven records
  // The datagram that completed the ClientKeyExchange, counted; 0: none yet.
  uint64_t exchange_datagram_ = 0;
  bool finished_with_exchange_ = false;  // it brought a Finished as well
  unsigned cookie_repeats_ = 0;          // unanswered sendings of the hello with a cookie
  bool starts_anew_ = false;
  bool contested_ = false;  // two cookies have come
  bool guards_ = false;     // this is a guarded one
  std::unique_ptr<DtlsHandshake> guarded_;
  uint64_t last_fed_ = 0;  // number of the last epoch-1 record that OpenSSL was given
};

}  // namespace mcbn
