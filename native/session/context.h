// context.h: the settings that all sessions of one server, or one client, share.
//
// Ownership   shared_ptr: every session keeps its Context alive, because SSL_new() keeps the
//             SSL_CTX but not this object.
// Thread      immutable after create(), except for logging_, which is made once; SSL_new() on one
//             SSL_CTX is safe from several threads.
// Spec        RFC 4279, 5487, 5489, 6655, 7905 (suites); RFC 8446 section 4.2.11; RFC 9257
//             (advice).
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <mutex>
#include <string>
#include <variant>
#include <vector>

#include "psk/negotiation.h"
#include "session/failure.h"

namespace mcbn {

struct ContextOptions {
  Role role = Role::Client;
  Transport transport = Transport::Tls;
  int min_version = TLS1_2_VERSION;  // TLS only; DTLS is 1.2
  int max_version = TLS1_3_VERSION;
  std::string ciphers;            // OpenSSL list, TLS 1.3 names included; empty = defaults
  std::string identity_hint;      // server; empty = none (RFC 4279 section 5.2)
  std::vector<std::string> alpn;  // in order of preference
  PskPolicy psk;
  bool newer = false;  // a DTLS server's: DTLS 1.3 is spoken beside it (RFC 7507 section 3)
  // OpenSSL then writes every secret out as text, 3 us a handshake, whether or not anybody reads
  // it.
  bool keylog = false;
};

class Context {
 public:
  using Created = std::variant<std::shared_ptr<const Context>, Failure>;
  static Created create(ContextOptions options);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  SSL* newSsl(bool keylog) const;
  // Logs the secrets of `ssl`, which belongs to this context, from now on.
  void logKeys(SSL* ssl) const;

  // The suite with this IANA number; null if this context does not offer it.
  const SSL_CIPHER* suiteOf(uint16_t number) const;

  Role role() const { return options_.role; }
  Transport transport() const { return options_.transport; }
  const ContextOptions& options() const { return options_; }
  const Suites13& suites() const { return suites_; }
  bool speaks12() const { return options_.min_version <= TLS1_2_VERSION; }
  bool speaks13() const {
    return options_.transport == Transport::Tls && options_.max_version >= TLS1_3_VERSION;
  }

 private:
  explicit Context(ContextOptions options) : options_(std::move(options)) {}
  std::optional<Failure> configure();
  std::optional<Failure> setCiphers();
  // The same settings with a key log; made when first asked for.
  const Context* logging() const;
  static int onAlpn(SSL* ssl, const unsigned char** out, unsigned char* out_length,
                    const unsigned char* in, unsigned in_length, void* self);

  ContextOptions options_;
  Suites13 suites_;
  std::string alpn_wire_;  // RFC 7301 section 3.1: length-prefixed names
  SSL_CTX* ctx_ = nullptr;
  mutable std::once_flag logging_wanted_;
  mutable std::shared_ptr<const Context> logging_;
};

}  // namespace mcbn
