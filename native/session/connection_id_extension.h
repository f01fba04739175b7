// connection_id_extension.h: how a handshake agrees on connection IDs and on the return routability
// check: two extensions that OpenSSL carries for us.
//
//   client offers its ID --ClientHello--> server; client <--ServerHello-- the server's ID
//
// A server answers only with a suite of our record layer: OpenSSL's cannot write records with
// an ID. A client must offer before it knows the suite; should the server agree to IDs together
// with another suite, the handshake fails and refused() says why.
//
// Ownership   a DtlsSession that wants IDs has one, and keeps it as long as its SSL.
// Thread      the session's. OpenSSL's callbacks fill in values, nothing else.
// Spec        RFC 9146 section 3, RFC 9853 section 3
#pragma once

#include <openssl/ssl.h>

#include "record/connection_id.h"

namespace mcbn {

class ConnectionIdExtension {
 public:
  // Once for each DTLS context. False when OpenSSL has no room.
  static bool install(SSL_CTX* context);

  // `own`: what the peer shall put into its records; may be empty.
  explicit ConnectionIdExtension(Bytes own) { ids_.own = std::move(own); }
  ConnectionIdExtension(const ConnectionIdExtension&) = delete;
  ConnectionIdExtension& operator=(const ConnectionIdExtension&) = delete;

  // Until then an SSL neither offers nor answers. False when OpenSSL has no memory.
  bool attach(SSL* ssl);
  // Before this object ends, where the SSL does not.
  static void detach(SSL* ssl);

  // Both sides have said what they want: known once the ServerHello was written or read.
  bool agreed() const { return agreed_; }
  // What was given to the constructor.
  const Bytes& own() const { return ids_.own; }
  // Once agreed.
  const ConnectionIds& ids() const {
    MCBN_ASSERT(agreed_);
    return ids_;
  }
  bool returnRoutability() const { return agreed_ && check_agreed_; }
  // The server agreed to IDs with a suite that cannot have them here.
  bool refused() const { return refused_; }

 private:
  static ConnectionIdExtension* of(const SSL* ssl);
  static int addId(SSL* ssl, unsigned type, unsigned context, const unsigned char** out,
                   size_t* length, X509*, size_t, int* alert, void*);
  static int parseId(SSL* ssl, unsigned type, unsigned context, const unsigned char* in,
                     size_t length, X509*, size_t, int* alert, void*);
  static int addCheck(SSL* ssl, unsigned type, unsigned context, const unsigned char** out,
                      size_t* length, X509*, size_t, int* alert, void*);
  static int parseCheck(SSL* ssl, unsigned type, unsigned context, const unsigned char* in,
                        size_t length, X509*, size_t, int* alert, void*);

  ConnectionIds ids_;
  Bytes wire_;  // extension_data, lent to OpenSSL
  bool offered_ = false;
  bool check_offered_ = false;
  bool agreed_ = false;
  bool check_agreed_ = false;
  bool refused_ = false;
};

}  // namespace mcbn
