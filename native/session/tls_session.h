// tls_session.h: one TLS association over a byte stream, without any I/O.
//
//   received bytes --receive()--> [ screen -> SSL ] --> plaintext, into the caller's buffer
//   plaintext      --write()----> [ SSL ]           --> ciphertext, into the caller's buffer
//   either                                      \-> takeCiphertext(), question(), opened(), failure()
//
// Every step runs OpenSSL as far as it goes and says by Ready bits what there is to take. It never
// touches a socket, a clock or JavaScript. The caller takes everything before the next step.
//
// The handshake waits for a key without waiting in OpenSSL: a TLS 1.3 server stops in the
// client_hello callback; on TLS 1.2 the screen keeps back the record that would make OpenSSL ask.
//
// Ownership   owns its SSL, and shares the Context.
// Thread      one at a time; the loop thread of the environment it belongs to.
// Spec        RFC 8446, RFC 5246, RFC 4279 (PSK suites), RFC 7627 (exporters on 1.2)
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/assert.h"
#include "record/stream_screen.h"
#include "session/handshake.h"
#include "session/memory_bio.h"

namespace mcbn {

class TlsSession {
 public:
  // The bits of READY in src/native/contract.ts.
  enum Ready : uint32_t {
    kNothing = 0,
    kCiphertext = 1,
    kPlaintext = 2,
    kOpened = 4,
    kQuestion = 8,
    kClosed = 16,
    kFailed = 32,
    kKeylog = 64,
    kMore = 128,  // plaintext remains that the caller's buffer had no room for: receive() again
  };
  static constexpr uint32_t kReadyRange = 256;  // every bit is below it
  struct Step {
    uint32_t ready = kNothing;
    size_t length = 0;  // bytes in the buffer that the caller lent
  };
  struct Options {
    bool keylog = false;
    std::string servername;
    // Client: a function chooses the key, so the server's hint (RFC 4279 section 5.2) is worth a
    // question.
    bool ask_for_hint = false;
  };

  TlsSession(std::shared_ptr<const Context> context, const Options& options);
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // Client, before start(): the key to offer.
  Step useKey(Identity identity, PskEntry entry);
  // Client: makes the ClientHello.
  Step start();
  // Bytes from the peer. Plaintext goes to `plaintext`, whose room may be 0 until the session is
  // open.
  Step receive(ByteView ciphertext, std::span<uint8_t> plaintext);
  // Encrypts all of `plaintext`; records go to `ciphertext`, and what it cannot hold to
  // takeCiphertext().
  Step write(ByteView plaintext, std::span<uint8_t> ciphertext);
  // close_notify (RFC 8446 section 6.1); nothing before the session is open.
  Step shutdown();
  // The answer to question(); one to an older question changes nothing.
  Step answer(uint32_t number, PskAnswer answer);

  Bytes takeCiphertext() { return std::move(pipe_.overflow); }
  std::vector<std::string> takeKeylog() { return std::move(keylog_); }
  const PskQuestion& question() const { return handshake_.psk().question(); }
  // Once open.
  const Opened& opened() const {
    MCBN_ASSERT(proved_);
    return proved_->opened();
  }
  const Failure& failure() const { return failure_; }
  bool open() const { return state_ == State::Open; }
  bool exportKeyingMaterial(std::string_view label, std::optional<ByteView> context,
                            std::span<uint8_t> out) const;

 private:
  enum class State : uint8_t { Fresh, Handshaking, Open, Failed };

  Step advance(bool possible);
  Step shakeHandsBounded();
  bool passScreened();
  bool settleScreened();
  void shakeHands();
  void becomeOpen();
  void readRecords(std::span<uint8_t> plaintext, Step& step);
  Step finish(Step step);
  void ask();
  void fail(Failure failure);
  Failure explainRecord();

  MemoryPipe pipe_;  // before handshake_: the SSL's BIO borrows it
  Handshake handshake_;
  std::optional<StreamScreen> screen_;  // until the session is open
  std::optional<Proved> proved_;        // from then on
  const bool ask_for_hint_;
  const bool keylog_wanted_;
  State state_ = State::Fresh;
  bool closed_ = false;  // the peer's close_notify has come
  bool shutdown_sent_ = false;
  uint32_t news_ = kNothing;  // events of the current step
  Bytes held_;                // received, not yet consumed by OpenSSL
  size_t passed_ = 0;         // how many of its first bytes the screen lets through
  Failure failure_;
  std::vector<std::string> keylog_;
};

}  // namespace mcbn
