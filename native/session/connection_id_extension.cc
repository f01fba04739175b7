#include "session/connection_id_extension.h"

#include "record/dtls_record.h"
#include "session/session_secrets.h"

namespace mcbn {
namespace {

constexpr unsigned kConnectionId = 54;            // RFC 9146 section 3
constexpr unsigned kReturnRoutabilityCheck = 61;  // RFC 9853 section 3
constexpr unsigned kContexts =
    SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_2_SERVER_HELLO | SSL_EXT_DTLS_ONLY;

// What the callbacks of OpenSSL return.
constexpr int kAbort = -1, kLeaveOut = 0, kAdd = 1;
constexpr int kMalformed = 0, kParsed = 1;

int extensionIndex() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

// Of the suite chosen: ours to protect.
bool oursToProtect(const SSL* ssl) { return aeadSuiteOf(SSL_get_pending_cipher(ssl)) != nullptr; }

}  // namespace

bool ConnectionIdExtension::install(SSL_CTX* context) {
  // In this order: the answer to the check depends on the answer to the ID.
  return SSL_CTX_add_custom_ext(context, kConnectionId, kContexts, addId, nullptr, nullptr, parseId,
                                nullptr) == 1 &&
         SSL_CTX_add_custom_ext(context, kReturnRoutabilityCheck, kContexts, addCheck, nullptr,
                                nullptr, parseCheck, nullptr) == 1;
}

bool ConnectionIdExtension::attach(SSL* ssl) {
  return SSL_set_ex_data(ssl, extensionIndex(), this) == 1;
}

void ConnectionIdExtension::detach(SSL* ssl) { SSL_set_ex_data(ssl, extensionIndex(), nullptr); }

ConnectionIdExtension* ConnectionIdExtension::of(const SSL* ssl) {
  return static_cast<ConnectionIdExtension*>(SSL_get_ex_data(ssl, extensionIndex()));
}

int ConnectionIdExtension::addId(SSL* ssl, unsigned, unsigned context, const unsigned char** out,
                                 size_t* length, X509*, size_t, int* alert, void*) {
  ConnectionIdExtension* const self = of(ssl);
  if (!self || self->ids_.own.size() > kMaxConnectionIdBytes) return self ? kAbort : kLeaveOut;
  *alert = alert::kInternalError;
  if (context & SSL_EXT_TLS1_2_SERVER_HELLO) {
    if (!self->offered_ || !oursToProtect(ssl)) return kLeaveOut;
    self->agreed_ = true;
  }
  self->wire_.clear();
  Writer(self->wire_).u8(self->ids_.own.size()).bytes(self->ids_.own);
  *out = self->wire_.data();
  *length = self->wire_.size();
  return kAdd;
}

int ConnectionIdExtension::parseId(SSL* ssl, unsigned, unsigned context, const unsigned char* in,
                                   size_t length, X509*, size_t, int* alert, void*) {
  ConnectionIdExtension* const self = of(ssl);
  Reader reader({in, length});
  ByteView id;
  *alert = alert::kDecodeError;
  if (!reader.vector8(id) || !reader.empty()) return kMalformed;
  if (!self) return kParsed;
  self->ids_.peer.assign(id.begin(), id.end());
  if (context & SSL_EXT_CLIENT_HELLO) {
    self->offered_ = true;
    return kParsed;
  }
  self->refused_ = self->ids_.used() && !oursToProtect(ssl);
  *alert = alert::kHandshakeFailure;
  if (self->refused_) return kMalformed;
  self->agreed_ = true;
  return kParsed;
}

// RFC 9853 section 3: empty, and only together with a connection ID.
int ConnectionIdExtension::addCheck(SSL* ssl, unsigned, unsigned context, const unsigned char** out,
                                    size_t* length, X509*, size_t, int*, void*) {
  ConnectionIdExtension* const self = of(ssl);
  if (!self) return kLeaveOut;
  if (context & SSL_EXT_TLS1_2_SERVER_HELLO) {
    if (!self->check_offered_ || !self->agreed_) return kLeaveOut;
    self->check_agreed_ = true;
  }
  *out = nullptr;
  *length = 0;
  return kAdd;
}

int ConnectionIdExtension::parseCheck(SSL* ssl, unsigned, unsigned context, const unsigned char*,
                                      size_t length, X509*, size_t, int* alert, void*) {
  ConnectionIdExtension* const self = of(ssl);
  *alert = alert::kDecodeError;
  if (length != 0) return kMalformed;
  if (!self) return kParsed;
  (context & SSL_EXT_CLIENT_HELLO ? self->check_offered_ : self->check_agreed_) = true;
  return kParsed;
}

}  // namespace mcbn
