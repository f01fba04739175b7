#include "session/context.h"

#include <openssl/err.h>
#include <openssl/objects.h>

#include <algorithm>
#include <atomic>
#include <string_view>

#include "session/connection_id_extension.h"
#include "session/handshake.h"
#include "session/handshake_library.h"

namespace mcbn {
namespace {

// Forward-secret AEAD suites first, then every AEAD PSK suite, so that a device which speaks
// nothing but PSK-AES128-CCM8 connects without a setting (RFC 7252 section 9.1.3.1). ECDHE before
// DHE: X25519 costs a tenth of a 2,048-bit exponentiation.
constexpr const char* kDefaultCiphers12 =
    "ECDHE-PSK-CHACHA20-POLY1305:"
    "DHE-PSK-AES128-GCM-SHA256:DHE-PSK-AES256-GCM-SHA384:DHE-PSK-CHACHA20-POLY1305:"
    "DHE-PSK-AES128-CCM:DHE-PSK-AES256-CCM:DHE-PSK-AES128-CCM8:DHE-PSK-AES256-CCM8:"
    "PSK-AES128-GCM-SHA256:PSK-AES256-GCM-SHA384:PSK-CHACHA20-POLY1305:"
    "PSK-AES128-CCM:PSK-AES256-CCM:PSK-AES128-CCM8:PSK-AES256-CCM8";
constexpr const char* kDefaultSuites256 = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* kDefaultSuites384 = "TLS_AES_256_GCM_SHA384";
constexpr std::string_view kSuite384 = "TLS_AES_256_GCM_SHA384";

// 112 bits: refuses 1,024-bit Diffie-Hellman, which OpenSSL 3.0 would still pick for PSK suites at
// level 1.
constexpr int kSecurityLevel = 2;
constexpr int kSmallestDhBits = 80;  // what a 1,024-bit group is worth

using SecurityCallback = int (*)(const SSL*, const SSL_CTX*, int, int, int, void*, void*);

// The same function for every SSL_CTX; written by whichever thread makes one, read by all.
std::atomic<SecurityCallback> openssl_policy = nullptr;

bool isPskExchange(const SSL_CIPHER* cipher) {
  switch (SSL_CIPHER_get_kx_nid(cipher)) {
    case NID_kx_psk:
    case NID_kx_dhe_psk:
    case NID_kx_ecdhe_psk:
      return true;
    default:
      return false;  // NID_kx_rsa_psk needs a certificate, which this library never shows or checks
  }
}

// OpenSSL 3.2 rates AES-CCM-8 at 64 bits for its short tag and hides it above level 0. The tag
// limits forgery, not secrecy: the suites in our own list stay usable, everything else obeys the
// level.
int securityPolicy(const SSL* ssl, const SSL_CTX* ctx, int op, int bits, int nid, void* other,
                   void* extra) {
  const bool about_cipher = op == SSL_SECOP_CIPHER_SUPPORTED || op == SSL_SECOP_CIPHER_SHARED ||
                            op == SSL_SECOP_CIPHER_CHECK;
  if (about_cipher && other) {
    const auto* cipher = static_cast<const SSL_CIPHER*>(other);
    const int aead = SSL_CIPHER_get_cipher_nid(cipher);
    const bool ccm = aead == NID_aes_128_ccm || aead == NID_aes_256_ccm;
    if (ccm && bits >= 64) return 1;
  }
  // A server may choose a 1,024-bit group for DHE-PSK, as OpenSSL 3.0 does at level 1. The PSK
  // protects the connection without any such exchange too, so the small group is better than none.
  if (op == SSL_SECOP_TMP_DH && ssl && !SSL_is_server(ssl) && bits >= kSmallestDhBits) return 1;
  return openssl_policy.load()(ssl, ctx, op, bits, nid, other, extra);
}

Failure badCiphers(std::string message) {
  return {.code = "MCBN_CIPHERS_INVALID", .message = std::move(message)};
}

void append(std::string& list, std::string_view name) {
  if (!list.empty()) list += ':';
  list += name;
}

}  // namespace

Context::Created Context::create(ContextOptions options) {
  clearOpensslErrors();
  std::shared_ptr<Context> context(new Context(std::move(options)));
  auto failure = context->configure();
  clearOpensslErrors();  // node:crypto and node:tls read the same queue
  if (failure) return *failure;
  return std::shared_ptr<const Context>(std::move(context));
}

Context::~Context() { SSL_CTX_free(ctx_); }

const SSL_CIPHER* Context::suiteOf(uint16_t number) const {
  const STACK_OF(SSL_CIPHER)* const ciphers = SSL_CTX_get_ciphers(ctx_);
  for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); ++i) {
    const SSL_CIPHER* const cipher = sk_SSL_CIPHER_value(ciphers, i);
    if (SSL_CIPHER_get_protocol_id(cipher) == number) return cipher;
  }
  return nullptr;
}

SSL* Context::newSsl(bool keylog) const {
  const Context* const logging = keylog ? this->logging() : nullptr;
  return SSL_new(logging ? logging->ctx_ : ctx_);
}

void Context::logKeys(SSL* ssl) const {
  if (const Context* const logging = this->logging()) SSL_set_SSL_CTX(ssl, logging->ctx_);
}

const Context* Context::logging() const {
  if (options_.keylog) return this;
  std::call_once(logging_wanted_, [this] {
    ContextOptions options = options_;
    options.keylog = true;
    Created made = create(std::move(options));
    if (auto* context = std::get_if<0>(&made)) logging_ = std::move(*context);
  });
  return logging_.get();
}

std::optional<Failure> Context::configure() {
  const bool dtls = options_.transport == Transport::Dtls;
  const HandshakeLibrary library = dtls ? handshakeLibrary() : HandshakeLibrary();
  ctx_ = SSL_CTX_new_ex(library.context, library.properties, dtls ? DTLS_method() : TLS_method());
  if (!ctx_) return Failure{.message = "SSL_CTX_new failed: " + takeOpensslError().words()};

  // DTLS_method() will mean DTLS 1.3 one day: say what is meant.
  const int min_version = dtls ? DTLS1_2_VERSION : options_.min_version;
  const int max_version = dtls ? DTLS1_2_VERSION : options_.max_version;
  if (SSL_CTX_set_min_proto_version(ctx_, min_version) != 1 ||
      SSL_CTX_set_max_proto_version(ctx_, max_version) != 1) {
    return Failure{.message = "OpenSSL refused the protocol versions"};
  }

  // Consent can be withdrawn: nothing may bring a session back without asking for its key.
  SSL_CTX_set_session_cache_mode(ctx_, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(ctx_, 0);
  SSL_CTX_set_options(ctx_, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                SSL_OP_CIPHER_SERVER_PREFERENCE |
                                SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION);
  if (options_.role == Role::Client) {
    // Servers without RFC 5746 are many small devices (tinydtls before July 2023, Californium
    // before 3.8). What the extension protects is renegotiation, and there is none (RFC 7925
    // section 17).
    SSL_CTX_set_options(ctx_, SSL_OP_LEGACY_SERVER_CONNECT);
  }
  if (dtls) {
    // Without encrypt-then-MAC: with it OpenSSL ends a DTLS session over any one forged CBC record
    // (bad_record_mac) instead of dropping it (RFC 6347 section 4.1.2.7); its MAC-then-encrypt does
    // not.
    SSL_CTX_set_options(ctx_, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_ENCRYPT_THEN_MAC);
    // Cookies are made and verified before there is an SSL (record/cookie.h): these two only
    // approve.
    SSL_CTX_set_cookie_generate_cb(ctx_, [](SSL*, unsigned char*, unsigned* length) {
      *length = 0;
      return 1;
    });
    SSL_CTX_set_cookie_verify_cb(ctx_, [](SSL*, const unsigned char*, unsigned) { return 1; });
    // Without a session cache a server sends no session ID (an empty one, RFC 5246
    // section 7.4.1.3). OpenSSL would draw 32 random bytes all the same.
    SSL_CTX_set_generate_session_id(ctx_, [](SSL*, unsigned char*, unsigned*) { return 1; });
    if (!ConnectionIdExtension::install(ctx_)) {
      return Failure{.message = "OpenSSL has no room for the extension connection_id"};
    }
  }
  // No partial writes: TlsSession::write() counts on one SSL_write_ex() for all its records.
  SSL_CTX_set_mode(ctx_, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_verify(ctx_, SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_dh_auto(ctx_, 1);

  SSL_CTX_set_security_level(ctx_, kSecurityLevel);
  openssl_policy = SSL_CTX_get_security_callback(ctx_);
  SSL_CTX_set_security_callback(ctx_, securityPolicy);

  if (!Negotiation::install(ctx_, options_.role, options_.transport, options_.newer)) {
    return Failure{.message = "OpenSSL has no room for the PSK callbacks"};
  }
  Handshake::install(ctx_, options_.keylog);
  if (options_.role == Role::Server && !options_.identity_hint.empty() &&
      SSL_CTX_use_psk_identity_hint(ctx_, options_.identity_hint.c_str()) != 1) {
    return Failure{.code = "MCBN_OPTION_RANGE",
                   .message = "pskIdentityHint: expected at most 256 bytes"};
  }
  for (const std::string& name : options_.alpn) {
    alpn_wire_ += static_cast<char>(name.size());
    alpn_wire_ += name;
  }
  if (!alpn_wire_.empty()) {
    if (options_.role == Role::Server) {
      SSL_CTX_set_alpn_select_cb(ctx_, onAlpn, this);
    } else {
      // 0 is success here, unlike everywhere else in libssl.
      const auto* const names = reinterpret_cast<const unsigned char*>(alpn_wire_.data());
      if (SSL_CTX_set_alpn_protos(ctx_, names, static_cast<unsigned>(alpn_wire_.size())) != 0) {
        return Failure{.code = "MCBN_OPTION_RANGE",
                       .message = "ALPNProtocols: OpenSSL refused the list"};
      }
    }
  }
  return setCiphers();
}

std::optional<Failure> Context::setCiphers() {
  std::string list12;
  std::string_view rest = options_.ciphers;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find_first_of(":, "), rest.size());
    const std::string_view name = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (name.empty()) continue;
    if (!name.starts_with("TLS_")) {
      append(list12, name);
    } else {
      append(name == kSuite384 ? suites_.sha384 : suites_.sha256, name);
    }
  }
  // As Node 20 to 26 do (lib/internal/tls/secure-context.js; older ones left TLS 1.3 out then):
  // naming only TLS 1.2 suites leaves TLS 1.3 at its defaults, since OpenSSL keeps two lists; naming only
  // TLS 1.3 suites leaves nothing for 1.2, so 1.2 is not offered.
  const bool named13 = !suites_.sha256.empty() || !suites_.sha384.empty();
  if (!named13) suites_ = {kDefaultSuites256, kDefaultSuites384};
  if (list12.empty() && named13) {
    if (!speaks13()) {
      return badCiphers("ciphers: expected TLS 1.2 PSK suites, got only TLS 1.3 names in \"" +
                        options_.ciphers + "\"");
    }
    options_.min_version = TLS1_3_VERSION;
    SSL_CTX_set_min_proto_version(ctx_, TLS1_3_VERSION);
  }
  std::string all13 = suites_.sha256;
  if (!suites_.sha384.empty()) append(all13, suites_.sha384);
  if (speaks13() && SSL_CTX_set_ciphersuites(ctx_, all13.c_str()) != 1) {
    return badCiphers("ciphers: OpenSSL knows no TLS 1.3 suite of \"" + all13 + "\"");
  }
  if (SSL_CTX_set_cipher_list(ctx_, list12.empty() ? kDefaultCiphers12 : list12.c_str()) != 1) {
    return badCiphers("ciphers: OpenSSL knows no suite of \"" + options_.ciphers +
                      "\"; expected a list such as \"PSK-AES128-GCM-SHA256:PSK-AES128-CCM8\"");
  }

  std::string psk_only;
  const STACK_OF(SSL_CIPHER)* ciphers = SSL_CTX_get_ciphers(ctx_);
  for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); ++i) {
    const SSL_CIPHER* cipher = sk_SSL_CIPHER_value(ciphers, i);
    const bool encrypts = SSL_CIPHER_get_cipher_nid(cipher) != NID_undef;
    if (isPskExchange(cipher) && encrypts) append(psk_only, SSL_CIPHER_get_name(cipher));
  }
  if (options_.min_version > TLS1_2_VERSION && options_.transport == Transport::Tls) return {};
  if (psk_only.empty()) {
    return badCiphers("ciphers: \"" + options_.ciphers +
                      "\" has no pre-shared key suite that encrypts; expected names such as "
                      "\"PSK-AES128-GCM-SHA256\" (RSA-PSK needs certificates and is not offered)");
  }
  if (SSL_CTX_set_cipher_list(ctx_, psk_only.c_str()) != 1) {
    return badCiphers("ciphers: OpenSSL refused \"" + psk_only + "\"");
  }
  return {};
}

int Context::onAlpn(SSL*, const unsigned char** out, unsigned char* out_length,
                    const unsigned char* in, unsigned in_length, void* context) {
  const auto* self = static_cast<const Context*>(context);
  unsigned char* selected = nullptr;
  const int found = SSL_select_next_proto(
      &selected, out_length, reinterpret_cast<const unsigned char*>(self->alpn_wire_.data()),
      static_cast<unsigned>(self->alpn_wire_.size()), in, in_length);
  // No overlap is fatal, no_application_protocol (RFC 7301 section 3.2).
  if (found != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = selected;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace mcbn
