// negotiation.h: what one handshake knows about its pre-shared key.
//
//   identity seen --resolve()--> [ table hit | miss | question for JavaScript ] --answer()--> key
//   OpenSSL's PSK callbacks then find the key already here: they never wait and never call
//   JavaScript.
//
// A TLS 1.3 server is held in the ClientHello callback (SSL_CLIENT_HELLO_RETRY), a (D)TLS 1.2
// server by the screen in front of OpenSSL, which keeps the ClientKeyExchange back until the key is
// known. A held handshake is an ordinary SSL object: it may be freed at any moment.
//
// Ownership   a session owns its Negotiation; OpenSSL reaches it through SSL ex_data.
// Thread      the session's.
// Spec        RFC 4279, RFC 8446 section 4.2.11, RFC 9257.
#pragma once

#include <openssl/ssl.h>

#include <string>
#include <vector>

#include "psk/psk.h"
#include "psk/psk_policy.h"

namespace mcbn {

struct Suites13 {
  std::string sha256;  // colon-separated TLS 1.3 suites whose hash is SHA-256
  std::string sha384;
};

class Negotiation {
 public:
  enum class State : uint8_t {
    None,     // no identity seen yet
    Asking,   // question() is open
    Known,    // key() may be used
    Decoy,    // unknown identity, concealed: a random key that cannot match
    Refused,  // unknown identity, to be answered with unknown_psk_identity
  };

  Negotiation(Role role, const PskPolicy& policy, const Suites13& suites)
      : role_(role), policy_(policy), suites_(suites) {}

  static Negotiation* of(const SSL* ssl);
  // Installs the callbacks that find this object again; once for each SSL_CTX. `newer`: a server's, beside
  // which DTLS 1.3 is spoken: a hello that offers it, or falls back from it, is refused.
  static bool install(SSL_CTX* context, Role role, Transport transport, bool newer);
  bool attach(SSL* ssl);

  // Server: whether resolve() will ask for the identity's key.
  bool needsQuestion(const Identity& identity) const;
  // Server, (D)TLS 1.2: the identity of the ClientKeyExchange. True when the key is settled at
  // once.
  bool resolve(Identity identity, Protocol protocol);
  // Client: the key to use, or a question that must be answered first.
  void use(Identity identity, PskEntry entry);
  void askForHint(std::optional<std::string> hint, Protocol protocol);
  // The answer to question(); `number` must be its number, else false.
  bool answer(uint32_t number, PskAnswer answer);

  State state() const { return state_; }
  bool asking() const { return state_ == State::Asking; }
  const PskQuestion& question() const { return question_; }
  const Identity& identity() const { return identity_; }
  const PskEntry& entry() const { return entry_; }
  const std::string& servername() const { return servername_; }
  bool offered() const { return offered_; }
  // TLS 1.3 server: how many identities the client offered, and how many of them were looked at.
  size_t offeredCount() const { return offered_count_; }
  size_t examinedCount() const { return offers_.size(); }
  bool keyGiven() const { return key_given_; }
  // A client whose identity holds a NUL cannot speak (D)TLS 1.2 (OpenSSL takes its length by
  // strlen).
  bool identityUnsendable() const { return identity_unsendable_; }
  void wipeKey() { entry_.key.reset(); }

 private:
  struct Offer {
    Identity identity;
    PskHash hash;
  };

  static int onClientHello(SSL* ssl, int* alert, void* newer);
  static int onFindSession(SSL* ssl, const unsigned char* identity, size_t length,
                           SSL_SESSION** session);
  static int onUseSession(SSL* ssl, const EVP_MD* md, const unsigned char** identity,
                          size_t* length, SSL_SESSION** session);
  static unsigned onServerKey(SSL* ssl, const char* identity, unsigned char* key,
                              unsigned capacity);
  static unsigned onClientKey(SSL* ssl, const char* hint, char* identity,
                              unsigned identity_capacity, unsigned char* key, unsigned capacity);

  int selectOffer(SSL* ssl, int* alert);
  int findChosenAgain();
  void readHello(SSL* ssl);
  bool lookUp(const Identity& identity, Protocol protocol);
  void keepIfHashFits();
  void settleUnknown(PskHash hash);
  void ask(Protocol protocol);

  const Role role_;
  const PskPolicy& policy_;
  const Suites13& suites_;
  State state_ = State::None;
  PskQuestion question_;
  Identity identity_;
  PskEntry entry_;
  std::string servername_;
  std::vector<Offer> offers_;
  size_t offered_count_ = 0;
  size_t offer_ = 0;  // the offer being looked up, or the one that was chosen
  size_t found_ = 0;  // how many offers OpenSSL has asked about
  bool offered_ = false;
  bool key_given_ = false;
  bool identity_unsendable_ = false;
};

// A session that carries an external PSK into TLS 1.3; null when OpenSSL refuses.
SSL_SESSION* externalPskSession(SSL* ssl, std::span<const uint8_t> key, PskHash hash);

}  // namespace mcbn
