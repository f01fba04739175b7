// key_exchange.h: the (EC)DHE or KEM of psk_dhe_ke.
//
//   client   KeyShare::make(group) -> share()            -> finish(server's share) -> shared secret
//   server   answerKeyShare(group, client's share)       -> share, shared secret
//
// X25519MLKEM768 needs OpenSSL 3.5 or later at run time. It is asked for by name, so that one addon
// runs on those that lack it too.
//
// Thread   any; each object is used by one at a time.
// Spec     RFC 8446 sections 4.2.8.2 and 7.4.2, RFC 7748, draft-ietf-tls-ecdhe-mlkem section 4
#pragma once

#include <openssl/types.h>

#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/secret.h"

namespace mcbn::dtls13 {

// NamedGroup (RFC 8446 section 4.2.7).
enum class Group : uint16_t { Secp256r1 = 0x0017, X25519 = 0x001D, X25519MlKem768 = 0x11EC };

// "X25519" and so on, as OpenSSL and the IANA call it.
const char* nameOf(Group group);
// nullopt: none of ours.
std::optional<Group> groupOf(uint16_t id);
// Whether the running OpenSSL has it.
bool available(Group group);
// Bytes of key_exchange in a KeyShareEntry. Another length is an illegal_parameter.
size_t clientShareBytes(Group group);
size_t serverShareBytes(Group group);

class KeyShare {
 public:
  // nullopt: OpenSSL has no such group, or refused.
  static std::optional<KeyShare> make(Group group);

  Group group() const { return group_; }
  ByteView share() const { return share_; }
  // Empty: the share is not valid (wrong length, not on the curve, or it gives zeros: RFC 8446
  // section 7.4.2). Send illegal_parameter. The private key is used once.
  Secret finish(ByteView server_share) &&;

 private:
  struct FreeKey {
    void operator()(EVP_PKEY* key) const;
  };
  KeyShare(Group group, EVP_PKEY* key) : group_(group), key_(key) {}

  Group group_;
  std::unique_ptr<EVP_PKEY, FreeKey> key_;
  Bytes share_;
};

struct KeyAnswer {
  Bytes share;
  Secret shared_secret;
};
// nullopt: the share is not valid, as above.
std::optional<KeyAnswer> answerKeyShare(Group group, ByteView client_share);

}  // namespace mcbn::dtls13
