// handshake.h: what TLS and DTLS handshakes have in common around one SSL object.
//
// Owns the SSL and its Negotiation, collects what OpenSSL reports through callbacks (alerts, key
// log) and names the reason of a failure. It never touches a socket, a clock or JavaScript.
//
// Ownership   a TlsSession or DtlsSession owns its Handshake.
// Thread      the session's.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "psk/negotiation.h"
#include "session/context.h"
#include "session/failure.h"
#include "session/opened.h"

namespace mcbn {

class Handshake;

// The end of a good handshake: both sides have used the pre-shared key. Only the check of it,
// Handshake::prove(), makes one, and a session that is open has one behind it.
class Proved {
 public:
  const Opened& opened() const { return opened_; }

 private:
  friend class Handshake;
  explicit Proved(Opened opened) : opened_(std::move(opened)) {}

  Opened opened_;
};

class Handshake {
 public:
  Handshake(std::shared_ptr<const Context> context, bool keylog);
  ~Handshake();
  Handshake(const Handshake&) = delete;
  Handshake& operator=(const Handshake&) = delete;

  static void install(SSL_CTX* context, bool keylog);

  bool valid() const { return ssl_ != nullptr; }
  SSL* ssl() const { return ssl_; }
  const Context& context() const { return *context_; }
  const std::shared_ptr<const Context>& sharedContext() const { return context_; }
  Negotiation& psk() { return psk_; }
  const Negotiation& psk() const { return psk_; }
  Role role() const { return context_->role(); }
  Protocol protocol() const;

  // Client: the name of RFC 6066 section 3; false when OpenSSL refuses it.
  bool setServername(const std::string& name);
  // Client: once the key is known; TLS 1.3 suites then follow its hash.
  bool useKey(Identity identity, PskEntry entry);

  void setKeylog(bool on);
  std::vector<std::string> takeKeylog() { return std::move(keylog_lines_); }
  int alertReceived() const { return alert_received_; }
  int alertSent() const { return alert_sent_; }

  // After SSL_do_handshake() returned 1: the proof, or why this connection must not be used.
  std::variant<Proved, Failure> prove() const;
  // After a fatal error of SSL_do_handshake().
  Failure explain() const;
  // The peer, or the path, ended the handshake.
  Failure explainPeerAlert(int alert) const;
  // RFC 5705, RFC 8446 section 7.5. Fails on (D)TLS 1.2 without an extended master secret (RFC
  // 7627).
  bool exportKeyingMaterial(std::string_view label, std::optional<std::span<const uint8_t>> context,
                            std::span<uint8_t> out) const;

 private:
  static void onInfo(const SSL* ssl, int where, int value);
  static void onKeylog(const SSL* ssl, const char* line);
  static Handshake* of(const SSL* ssl);
  void followClientsGroups();
  bool keyUsed() const;
  Opened opened() const;
  Failure explainServer(const OpensslError& error) const;
  std::string explainUnknownIdentity() const;
  Failure explainClient(const OpensslError& error) const;

  std::shared_ptr<const Context> context_;
  Negotiation psk_;
  SSL* ssl_;
  bool keylog_;
  int alert_received_ = kNoAlert;
  int alert_sent_ = kNoAlert;
  std::vector<std::string> keylog_lines_;
};

}  // namespace mcbn
