// openssl_session.h: an open DTLS session whose records OpenSSL makes: its suite has no AEAD, or
// the option `records: 'openssl'` wants it so. It keeps OpenSSL's SSL.
//
// Ownership   a DtlsSession owns it; it owns the SSL.
// Thread      the session's.
// Reentrancy  the step's sink is called while OpenSSL is on the stack.
// Spec        RFC 6347 section 4.1
#pragma once

#include <memory>

#include "session/handshake.h"
#include "session/session_sink.h"

namespace mcbn {

// An SSL and the BIO's other end, which must not move while the SSL lives.
struct DatagramSsl {
  DatagramSsl(std::shared_ptr<const Context> context, bool keylog)
      : handshake(std::move(context), keylog) {}

  Wire wire;  // outlives the SSL
  Handshake handshake;
};

class OpensslSession final : private DatagramSink {
 public:
  explicit OpensslSession(std::unique_ptr<DatagramSsl> ssl);
  OpensslSession(const OpensslSession&) = delete;
  OpensslSession& operator=(const OpensslSession&) = delete;

  // One datagram, or what is left of it.
  void receive(ByteView records, SessionStep& step);
  bool send(ByteView message, SessionStep& step);
  void close(SessionStep& step);

  const Identity& identity() const { return ssl_->handshake.psk().identity(); }
  bool exportKeyingMaterial(std::string_view label, std::optional<ByteView> context,
                            std::span<uint8_t> out) const {
    return ssl_->handshake.exportKeyingMaterial(label, context, out);
  }

 private:
  class Turn;  // around every call from outside

  void datagram(ByteView bytes) override;
  size_t shortestRecord();
  // Empty: a record without content, or a warning.
  enum class Read { Nothing, Empty };
  Read readMessages(SessionStep& step);
  void endBroken(const OpensslError& why, SessionStep& step);
  static void onInfo(const SSL* ssl, int where, int value);
  bool mayRepeat();

  const std::unique_ptr<DatagramSsl> ssl_;
  SessionStep* step_ = nullptr;  // in progress
  size_t shortest_record_ = 0;   // 0: not known yet
  unsigned repeats_ = 0;         // of the peer's Finished
  bool heard_data_ = false;
  // Of the read in progress.
  int alert_ = kNoAlert;
  bool warned_ = false;  // the alert is a warning that ends nothing
};

}  // namespace mcbn
