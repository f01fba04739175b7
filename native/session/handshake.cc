#include "session/handshake.h"

#include <openssl/objects.h>
#include <openssl/sslerr.h>

#include <cstdio>

#include "base/assert.h"

namespace mcbn {
namespace {

int handshakeIndex() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

bool saysWrongKey(const OpensslError& error) {
  switch (error.reason) {
    case SSL_R_BINDER_DOES_NOT_VERIFY:               // TLS 1.3
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:  // TLS 1.2: the Finished cannot be read
    case SSL_R_DIGEST_CHECK_FAILED:
      return true;
    default:
      return false;
  }
}

bool alertSaysWrongKey(int alert, Protocol protocol) {
  if (alert == alert::kDecryptError || alert == alert::kBadRecordMac) return true;
  // OpenSSL 3.0 answers a bad TLS 1.3 binder with illegal_parameter.
  return alert == alert::kIllegalParameter && protocol == Protocol::Tls13;
}

}  // namespace

Handshake::Handshake(std::shared_ptr<const Context> context, bool keylog)
    : context_(std::move(context)),
      psk_(context_->role(), context_->options().psk, context_->suites()),
      ssl_(context_->newSsl(keylog)),
      keylog_(keylog) {
  if (!ssl_) return;
  if (!psk_.attach(ssl_) || SSL_set_ex_data(ssl_, handshakeIndex(), this) != 1) {
    SSL_free(ssl_);
    ssl_ = nullptr;
  }
}

Handshake::~Handshake() {
  SSL_free(ssl_);
  for (std::string& line : keylog_lines_) OPENSSL_cleanse(line.data(), line.size());
}

void Handshake::install(SSL_CTX* context, bool keylog) {
  SSL_CTX_set_info_callback(context, onInfo);
  if (keylog) SSL_CTX_set_keylog_callback(context, onKeylog);
}

void Handshake::setKeylog(bool on) {
  if (on && ssl_) context_->logKeys(ssl_);
  keylog_ = on;
}

Handshake* Handshake::of(const SSL* ssl) {
  return static_cast<Handshake*>(SSL_get_ex_data(ssl, handshakeIndex()));
}

void Handshake::onInfo(const SSL* ssl, int where, int value) {
  Handshake* self = of(ssl);
  if (!self) return;
  if (where == SSL_CB_ACCEPT_LOOP) return self->followClientsGroups();
  if (!(where & SSL_CB_ALERT)) return;
  (where & SSL_CB_READ ? self->alert_received_ : self->alert_sent_) = value & 0xff;
}

// The option that lets a server's list of suites decide makes its list of groups decide too. Suites
// are chosen when the ClientHello has been processed, the group of (D)TLS 1.2 only when the
// ServerKeyExchange is written: in between the option goes, and the client's order counts (RFC 8422
// section 5.1.1). Some clients list groups last that they cannot compute, as wolfSSL 5.5 X25519.
void Handshake::followClientsGroups() {
  // By name: the numbers of the states are other ones from OpenSSL 3.2 on, and this is compiled once.
  static constexpr std::string_view kClientHelloRead = "TRCH";
  if (SSL_state_string(ssl_) != kClientHelloRead || protocol() == Protocol::Tls13) return;
  SSL_clear_options(ssl_, SSL_OP_CIPHER_SERVER_PREFERENCE);
}

void Handshake::onKeylog(const SSL* ssl, const char* line) {
  Handshake* self = of(ssl);
  if (self && self->keylog_) self->keylog_lines_.emplace_back(line);
}

Protocol Handshake::protocol() const {
  switch (SSL_version(ssl_)) {
    case TLS1_3_VERSION:
      return Protocol::Tls13;
    case TLS1_2_VERSION:
      return Protocol::Tls12;
    case DTLS1_2_VERSION:
      return Protocol::Dtls12;
    default:
      return Protocol::Unknown;
  }
}

bool Handshake::setServername(const std::string& name) {
  return SSL_set_tlsext_host_name(ssl_, name.c_str()) == 1;
}

bool Handshake::useKey(Identity identity, PskEntry entry) {
  MCBN_ASSERT(role() == Role::Client);
  const PskHash hash = entry.hash;
  psk_.use(std::move(identity), std::move(entry));
  if (!context_->speaks13()) return true;
  const Suites13& suites = context_->suites();
  const std::string& names = hash == PskHash::Sha384 ? suites.sha384 : suites.sha256;
  if (names.empty()) {  // TLS 1.2 does not bind a key to a hash
    return context_->speaks12() && SSL_set_max_proto_version(ssl_, TLS1_2_VERSION) == 1;
  }
  return SSL_set_ciphersuites(ssl_, names.c_str()) == 1;
}

std::variant<Proved, Failure> Handshake::prove() const {
  MCBN_ASSERT(SSL_is_init_finished(ssl_));
  if (keyUsed()) return Proved(opened());
  return Failure{.code = "MCBN_PSK_NOT_USED",
                 .message =
                     "the peer finished a handshake without proving the pre-shared key; "
                     "the connection was refused"};
}

bool Handshake::keyUsed() const {
  if (!psk_.keyGiven()) return false;
  // A PSK looks like a resumption to TLS 1.3; a server that passed the offer over and showed a
  // certificate has proved nothing about the key.
  if (protocol() == Protocol::Tls13) return SSL_session_reused(ssl_) == 1;
  switch (SSL_CIPHER_get_kx_nid(SSL_get_current_cipher(ssl_))) {
    case NID_kx_psk:
    case NID_kx_dhe_psk:
    case NID_kx_ecdhe_psk:
      return true;
    default:
      return false;
  }
}

Failure Handshake::explain() const {
  const OpensslError error = takeOpensslError();
  Failure failure = role() == Role::Server ? explainServer(error) : explainClient(error);
  failure.reason = error.text;
  if (failure.alert == kNoAlert) {
    failure.alert = alert_received_ != kNoAlert ? alert_received_ : alert_sent_;
  }
  return failure;
}

Failure Handshake::explainServer(const OpensslError& error) const {
  switch (psk_.state()) {
    case Negotiation::State::Decoy:
    case Negotiation::State::Refused:
      return {.code = "MCBN_PSK_IDENTITY_UNKNOWN", .message = explainUnknownIdentity()};
    case Negotiation::State::Known:
      if (saysWrongKey(error) || alertSaysWrongKey(alert_received_, protocol())) {
        return {.code = "MCBN_PSK_MISMATCH",
                .message = "the client's key for identity " + quoted(psk_.identity()) +
                           " differs from the server's; compare both"};
      }
      break;
    default:
      break;
  }
  if (alert_received_ != kNoAlert) return explainPeerAlert(alert_received_);
  if (alert_sent_ == alert::kInappropriateFallback) {
    return {.code = "MCBN_HANDSHAKE_FAILED",
            .message = "the client fell back to DTLS 1.2, and the server speaks DTLS 1.3"};
  }
  if (error.reason == SSL_R_NO_SHARED_CIPHER ||
      error.reason == SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM ||
      error.reason == SSL_R_NO_CIPHERS_AVAILABLE) {
    return {.code = "MCBN_HANDSHAKE_FAILED",
            .message = psk_.offered()
                           ? "no cipher suite fits the client's offer and its key's hash"
                           : "the client offered no pre-shared key suite this server accepts"};
  }
  return {.code = "MCBN_HANDSHAKE_FAILED", .message = "the handshake failed: " + error.words()};
}

std::string Handshake::explainUnknownIdentity() const {
  const size_t offered = psk_.offeredCount(), examined = psk_.examinedCount();
  if (offered < 2) {
    return "no key is filed under the client's identity " + quoted(psk_.identity());
  }
  std::string text = "no key is filed under any of the ";
  if (examined < offered) text += "first " + std::to_string(examined) + " of the ";
  text += std::to_string(offered) + " identities that the client offered, the first of them " +
          quoted(psk_.identity());
  if (examined < offered) text += "; let the client offer the right one earlier";
  return text;
}

Failure Handshake::explainClient(const OpensslError& error) const {
  if (psk_.identityUnsendable()) {
    return {.code = "MCBN_IDENTITY_INVALID",
            .message =
                "the identity holds a NUL byte, which only TLS 1.3 can carry, and the server "
                "chose an older version"};
  }
  if (alert_received_ != kNoAlert) return explainPeerAlert(alert_received_);
  if (saysWrongKey(error)) {
    return {.code = "MCBN_PSK_MISMATCH",
            .message = "the server's key for identity " + quoted(psk_.identity()) +
                       " differs from the client's; compare both"};
  }
  if (error.reason == SSL_R_DATA_LENGTH_TOO_LONG && protocol() != Protocol::Tls13) {
    return {.code = "MCBN_HANDSHAKE_FAILED",
            .message =
                "the server's identity hint is longer than the 256 bytes that OpenSSL takes; "
                "shorten it on the server"};
  }
  return {.code = "MCBN_HANDSHAKE_FAILED", .message = "the handshake failed: " + error.words()};
}

Failure Handshake::explainPeerAlert(int alert) const {
  Failure failure{.code = "MCBN_HANDSHAKE_FAILED", .message = {}, .reason = {}, .alert = alert};
  const std::string name = alertName(alert);
  const bool client = role() == Role::Client;
  if (alert == alert::kUnknownPskIdentity) {
    failure.code = "MCBN_PSK_IDENTITY_UNKNOWN";
    failure.message =
        "the peer knows no key for identity " + quoted(psk_.identity()) + " (" + name + ")";
  } else if (psk_.keyGiven() &&
             alertSaysWrongKey(alert,
                               client && context_->speaks13() ? Protocol::Tls13 : protocol())) {
    failure.code = "MCBN_PSK_MISMATCH";
    failure.message = std::string(client ? "the server" : "the client") +
                      " has another key for identity " + quoted(psk_.identity()) +
                      (client ? ", or does not know the identity (" : " (") + name +
                      "); compare both";
  } else if (alert == alert::kHandshakeFailure) {
    failure.message =
        client ? "the server refused the handshake (handshake_failure): it may not know identity " +
                     quoted(psk_.identity()) + ", or no cipher suite is common"
               : "the client refused the handshake (handshake_failure)";
  } else if (alert == alert::kUserCanceled || alert == alert::kCloseNotify) {
    failure.message = std::string(client ? "the server" : "the client") +
                      " gave up before the handshake was done (" + name + ")";
  } else {
    failure.message = "the peer ended the handshake with the alert " + name;
  }
  return failure;
}

Opened Handshake::opened() const {
  Opened opened;
  opened.protocol = protocol();
  if (const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl_)) {
    opened.cipher = SSL_CIPHER_get_name(cipher);
    opened.standard_cipher = SSL_CIPHER_standard_name(cipher);
  }
  const unsigned char* alpn = nullptr;
  unsigned alpn_length = 0;
  SSL_get0_alpn_selected(ssl_, &alpn, &alpn_length);
  opened.alpn.assign(reinterpret_cast<const char*>(alpn), alpn_length);
  opened.servername = psk_.servername();
  opened.identity = psk_.identity();
  opened.extended_master_secret =
      opened.protocol == Protocol::Tls13 || SSL_get_extms_support(ssl_) == 1;
  return opened;
}

bool Handshake::exportKeyingMaterial(std::string_view label,
                                     std::optional<std::span<const uint8_t>> context,
                                     std::span<uint8_t> out) const {
  if (protocol() != Protocol::Tls13 && SSL_get_extms_support(ssl_) != 1) return false;
  clearOpensslErrors();
  const bool done = SSL_export_keying_material(ssl_, out.data(), out.size(), label.data(),
                                               label.size(), context ? context->data() : nullptr,
                                               context ? context->size() : 0, context ? 1 : 0) == 1;
  clearOpensslErrors();
  return done;
}

}  // namespace mcbn
