#include "psk/negotiation.h"

#include <cstring>

#include "base/bytes.h"
#include "psk/decoy.h"
#include "record/alert.h"
#include "record/downgrade.h"
#include "record/psk_messages.h"

namespace mcbn {
namespace {

// A client may offer a key of each network it belongs to, and tickets of an earlier life. The
// bound is on what one ClientHello can make a server look up.
constexpr size_t kMaxOffers = 16;
constexpr size_t kSha384Length = 48;
constexpr uint16_t kTls13 = 0x0304, kDtls13 = 0xfefc;
constexpr unsigned char kAes128GcmSha256[] = {0x13, 0x01};
constexpr unsigned char kAes256GcmSha384[] = {0x13, 0x02};

int exDataIndex() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

Identity bytesOf(ByteView view) {
  return {reinterpret_cast<const char*>(view.data()), view.size()};
}

std::optional<ByteView> extension(SSL* ssl, unsigned type) {
  const unsigned char* data = nullptr;
  size_t length = 0;
  if (SSL_client_hello_get0_ext(ssl, type, &data, &length) != 1) return std::nullopt;
  return ByteView{data, length};
}

// Whether the hello offers DTLS 1.3, or was made because that did not work. An endpoint refuses most of them
// before OpenSSL sees them. Somebody on the path may choose records, fragments and message_seq so that it
// cannot tell, and none of these is under the Finished; what OpenSSL has put together is.
bool concernsNewer(SSL* ssl) {
  const unsigned char* suites = nullptr;
  const size_t size = SSL_client_hello_get0_ciphers(ssl, &suites);
  for (size_t at = 0; at + 1 < size; at += 2) {
    if ((suites[at] << 8 | suites[at + 1]) == kFallbackScsv) return true;
  }
  const auto versions = extension(ssl, TLSEXT_TYPE_supported_versions);
  return versions && offersVersion(*versions, kDtls13);
}

PskHash hashOf(const SSL_SESSION* session) {
  const SSL_CIPHER* cipher = SSL_SESSION_get0_cipher(session);
  return cipher && SSL_CIPHER_get_protocol_id(cipher) == 0x1302 ? PskHash::Sha384 : PskHash::Sha256;
}

}  // namespace

Negotiation* Negotiation::of(const SSL* ssl) {
  return static_cast<Negotiation*>(SSL_get_ex_data(ssl, exDataIndex()));
}

bool Negotiation::attach(SSL* ssl) { return SSL_set_ex_data(ssl, exDataIndex(), this) == 1; }

bool Negotiation::install(SSL_CTX* context, Role role, Transport transport, bool newer) {
  if (exDataIndex() < 0) return false;
  if (role == Role::Server) {
    // Its argument says no more than whether there is one.
    SSL_CTX_set_client_hello_cb(context, onClientHello, newer ? context : nullptr);
    SSL_CTX_set_psk_server_callback(context, onServerKey);
    if (transport == Transport::Tls) SSL_CTX_set_psk_find_session_callback(context, onFindSession);
  } else {
    SSL_CTX_set_psk_client_callback(context, onClientKey);
    if (transport == Transport::Tls) SSL_CTX_set_psk_use_session_callback(context, onUseSession);
  }
  return true;
}

// ---- the key is settled before OpenSSL asks ----------------------------------------------------

bool Negotiation::needsQuestion(const Identity& identity) const {
  if (!policy_.ask || identity.empty() || identity.size() > kMaxIdentityLength) return false;
  PskEntry entry;
  return !policy_.table || policy_.table->find(identity, entry) == KeyTable::Found::Miss;
}

bool Negotiation::resolve(Identity identity, Protocol protocol) {
  MCBN_ASSERT(role_ == Role::Server);
  if (state_ != State::None) return !asking();  // a retransmission asks nobody twice
  identity_ = std::move(identity);
  offered_ = true;
  // RFC 4279 lets a 1.2 client send an empty identity; nothing can be filed under it.
  if (identity_.empty() || identity_.size() > kMaxIdentityLength) {
    settleUnknown(PskHash::Sha256);
  } else if (!lookUp(identity_, protocol) && !asking()) {
    settleUnknown(PskHash::Sha256);
  }
  return !asking();
}

void Negotiation::use(Identity identity, PskEntry entry) {
  MCBN_ASSERT(role_ == Role::Client);
  identity_ = std::move(identity);
  entry_ = std::move(entry);
  state_ = State::Known;
}

void Negotiation::askForHint(std::optional<std::string> hint, Protocol protocol) {
  // A key may be there: chosen before the server had said its hint.
  MCBN_ASSERT(role_ == Role::Client && !asking());
  question_.hint = std::move(hint);
  question_.identity.reset();
  ask(protocol);
}

bool Negotiation::answer(uint32_t number, PskAnswer answer) {
  if (!asking() || number != question_.number) return false;
  if (role_ == Role::Client) {
    if (answer.entry) {
      use(std::move(answer.identity), std::move(*answer.entry));
    } else {
      state_ = State::Refused;
    }
    return true;
  }
  const bool revoked = policy_.table && policy_.table->revoked(*question_.identity);
  if (answer.entry && !revoked) {
    entry_ = std::move(*answer.entry);
    state_ = State::Known;
  } else if (question_.protocol == Protocol::Tls13) {
    state_ = State::None;  // selectOffer() goes on with the next one
    offer_ += 1;
  } else {
    settleUnknown(PskHash::Sha256);
  }
  return true;
}

bool Negotiation::lookUp(const Identity& identity, Protocol protocol) {
  if (policy_.table) {
    switch (policy_.table->find(identity, entry_)) {
      case KeyTable::Found::Hit:
        state_ = State::Known;
        return true;
      case KeyTable::Found::Revoked:
        return false;
      case KeyTable::Found::Miss:
        break;
    }
  }
  if (!policy_.ask) return false;
  question_.identity = identity;
  ask(protocol);
  return false;
}

void Negotiation::ask(Protocol protocol) {
  question_.number += 1;
  question_.protocol = protocol;
  question_.servername = servername_;
  state_ = State::Asking;
}

void Negotiation::settleUnknown(PskHash hash) {
  if (policy_.unknown == UnknownIdentity::Alert) {
    state_ = State::Refused;
    return;
  }
  std::optional<Secret> decoy = decoyKey();
  if (!decoy) {
    state_ = State::Refused;
    return;
  }
  entry_.key = std::move(*decoy);
  entry_.hash = hash;
  state_ = State::Decoy;
}

// ---- TLS 1.3 server ----------------------------------------------------------------------------

int Negotiation::onClientHello(SSL* ssl, int* alert, void* newer) {
  Negotiation* self = of(ssl);
  if (!self) return SSL_CLIENT_HELLO_ERROR;
  if (newer && concernsNewer(ssl)) {
    *alert = alert::kInappropriateFallback;
    return SSL_CLIENT_HELLO_ERROR;
  }
  self->readHello(ssl);
  self->found_ = 0;
  if (self->offers_.empty()) return SSL_CLIENT_HELLO_SUCCESS;
  return self->selectOffer(ssl, alert);
}

void Negotiation::readHello(SSL* ssl) {
  offers_.clear();
  offered_count_ = 0;
  if (const auto data = extension(ssl, TLSEXT_TYPE_server_name)) {
    servername_ = hostNameOf(*data).value_or("");
  }
  const auto versions = extension(ssl, TLSEXT_TYPE_supported_versions);
  const auto psks = extension(ssl, TLSEXT_TYPE_psk);
  const int max_version = SSL_get_max_proto_version(ssl);
  const bool may_be_13 = !SSL_is_dtls(ssl) && (max_version == 0 || max_version >= TLS1_3_VERSION);
  if (!may_be_13 || !versions || !psks || !offersVersion(*versions, kTls13)) return;
  std::vector<OfferedPsk> offered;
  const auto count = parseOfferedPsks(*psks, offered, kMaxOffers);
  if (!count) return;  // OpenSSL answers with decode_error
  offered_count_ = *count;
  for (const OfferedPsk& psk : offered) {
    offers_.push_back({bytesOf(psk.identity),
                       psk.binderLength == kSha384Length ? PskHash::Sha384 : PskHash::Sha256});
  }
}

// Goes through the client's offers until one has a key. Called again when a question has been
// answered.
int Negotiation::selectOffer(SSL* ssl, int* alert) {
  if (offered_) return findChosenAgain();
  if (state_ == State::Known) keepIfHashFits();
  while (state_ == State::None && offer_ < offers_.size()) {
    const Offer& offer = offers_[offer_];
    identity_ = offer.identity;
    const bool filed = !offer.identity.empty() && offer.identity.size() <= kMaxIdentityLength13;
    if (filed && lookUp(offer.identity, Protocol::Tls13)) {
      keepIfHashFits();
    } else if (!asking()) {
      offer_ += 1;
    }
  }
  if (asking()) return SSL_CLIENT_HELLO_RETRY;
  if (state_ == State::None) {
    offer_ = 0;
    identity_ = offers_.front().identity;
    settleUnknown(offers_.front().hash);
  }
  if (state_ == State::Refused) {
    offered_ = true;
    *alert = alert::kUnknownPskIdentity;
    return SSL_CLIENT_HELLO_ERROR;
  }
  // OpenSSL picks the suite before it looks at the PSK and then drops a PSK of another hash without
  // a word, so only suites of this hash may be in the running.
  const std::string& suites = entry_.hash == PskHash::Sha384 ? suites_.sha384 : suites_.sha256;
  if (SSL_set_ciphersuites(ssl, suites.c_str()) != 1) return SSL_CLIENT_HELLO_ERROR;
  offered_ = true;
  return SSL_CLIENT_HELLO_SUCCESS;
}

// After a HelloRetryRequest: the client may have left out PSKs that do not fit the suite that was
// chosen (RFC 8446 section 4.1.4), so the one that was selected can stand elsewhere.
int Negotiation::findChosenAgain() {
  offer_ = 0;
  while (offer_ < offers_.size() &&
         !(offers_[offer_].identity == identity_ && offers_[offer_].hash == entry_.hash)) {
    offer_ += 1;
  }
  return SSL_CLIENT_HELLO_SUCCESS;
}

// A PSK belongs to one hash (RFC 8446 section 4.2.11): offered under the other it is another,
// unknown key.
void Negotiation::keepIfHashFits() {
  if (entry_.hash == offers_[offer_].hash) return;
  entry_ = {};
  state_ = State::None;
  offer_ += 1;
}

int Negotiation::onFindSession(SSL* ssl, const unsigned char* identity, size_t length,
                               SSL_SESSION** session) {
  *session = nullptr;  // "unknown" is success without a session; 0 would be a fatal internal_error
  Negotiation* self = of(ssl);
  if (!self || (self->state_ != State::Known && self->state_ != State::Decoy)) return 1;
  // Asked for every offer in turn; one identity may be offered under both hashes.
  const size_t offer = self->found_++;
  if (offer != self->offer_ || self->identity_ != bytesOf({identity, length})) return 1;
  *session = externalPskSession(ssl, self->entry_.key.view(), self->entry_.hash);
  self->key_given_ = *session != nullptr;
  return 1;
}

SSL_SESSION* externalPskSession(SSL* ssl, std::span<const uint8_t> key, PskHash hash) {
  const SSL_CIPHER* cipher =
      SSL_CIPHER_find(ssl, hash == PskHash::Sha384 ? kAes256GcmSha384 : kAes128GcmSha256);
  SSL_SESSION* session = SSL_SESSION_new();
  if (session && cipher && SSL_SESSION_set1_master_key(session, key.data(), key.size()) == 1 &&
      SSL_SESSION_set_cipher(session, cipher) == 1 &&
      SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1) {
    return session;
  }
  SSL_SESSION_free(session);
  return nullptr;
}

// ---- TLS 1.3 client ----------------------------------------------------------------------------

int Negotiation::onUseSession(SSL* ssl, const EVP_MD* md, const unsigned char** identity,
                              size_t* length, SSL_SESSION** session) {
  *session = nullptr;
  Negotiation* self = of(ssl);
  if (!self || self->state_ != State::Known) return 1;
  SSL_SESSION* made = externalPskSession(ssl, self->entry_.key.view(), self->entry_.hash);
  if (!made) return 0;
  // After a HelloRetryRequest the suite is fixed: a PSK of another hash must not be offered again.
  const bool wrong_hash =
      md && EVP_MD_is_a(md, "SHA2-384") != (hashOf(made) == PskHash::Sha384 ? 1 : 0);
  if (wrong_hash) {
    SSL_SESSION_free(made);
    return 1;
  }
  *identity = reinterpret_cast<const unsigned char*>(self->identity_.data());
  *length = self->identity_.size();
  *session = made;  // OpenSSL owns it now, on every call anew
  self->key_given_ = true;
  return 1;
}

// ---- (D)TLS 1.2 --------------------------------------------------------------------------------

unsigned Negotiation::onServerKey(SSL* ssl, const char*, unsigned char* key, unsigned capacity) {
  // The identity OpenSSL passes ends at its first NUL; the screen has read the whole one.
  Negotiation* self = of(ssl);
  if (!self || SSL_version(ssl) == TLS1_3_VERSION) return 0;
  if (self->state_ != State::Known && self->state_ != State::Decoy) return 0;
  const Secret& secret = self->entry_.key;
  if (secret.empty() || secret.size() > capacity) return 0;
  std::memcpy(key, secret.data(), secret.size());
  self->key_given_ = true;
  return static_cast<unsigned>(secret.size());
}

unsigned Negotiation::onClientKey(SSL* ssl, const char*, char* identity, unsigned identity_capacity,
                                  unsigned char* key, unsigned capacity) {
  Negotiation* self = of(ssl);
  if (!self || self->state_ != State::Known) return 0;
  if (self->identity_.find('\0') != Identity::npos) {
    self->identity_unsendable_ = true;
    return 0;
  }
  const Secret& secret = self->entry_.key;
  if (secret.empty() || secret.size() > capacity) return 0;
  if (self->identity_.size() > identity_capacity) return 0;
  // OpenSSL's buffer is zeroed and one byte longer than the capacity it tells: 256 bytes fit.
  std::memcpy(identity, self->identity_.data(), self->identity_.size());
  std::memcpy(key, secret.data(), secret.size());
  self->key_given_ = true;
  return static_cast<unsigned>(secret.size());
}

}  // namespace mcbn
