#include "dtls13/key_exchange.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "record/hash.h"

namespace mcbn::dtls13 {
namespace {

// Bytes of what goes on the wire, and of the shared secret.
struct GroupFacts {
  Group group;
  const char* name;  // IANA's, and OpenSSL's where it is an algorithm
  size_t client, server, secret;
};
constexpr size_t kX25519 = 32, kPoint = 1 + 2 * 32;
constexpr size_t kMlKemKey = 1'184, kMlKemCiphertext = 1'088, kMlKemSecret = 32;
constexpr GroupFacts kGroups[] = {
    {Group::Secp256r1, "P-256", kPoint, kPoint, 32},
    {Group::X25519, "X25519", kX25519, kX25519, 32},
    {Group::X25519MlKem768, "X25519MLKEM768", kMlKemKey + kX25519, kMlKemCiphertext + kX25519,
     kMlKemSecret + 32},
};

const GroupFacts& factsOf(Group group) {
  return *std::ranges::find(kGroups, group, &GroupFacts::group);
}

bool isKem(Group group) { return group == Group::X25519MlKem768; }

struct FreePkey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};
using Pkey = std::unique_ptr<EVP_PKEY, FreePkey>;
using PkeyContext = std::unique_ptr<EVP_PKEY_CTX, FreePkey>;

// The secret of a key exchange on the stack.
struct Exchanged : Scratch<128> {
  size_t size = 128;
  Secret take() { return Secret(first(size)); }
};

// What a refusal has left is nobody's business: node:crypto shares the queue of errors.
struct QuietErrors {
  QuietErrors() { ERR_set_mark(); }
  ~QuietErrors() { ERR_pop_to_mark(); }
};

// What makes keys of a group, and what reads public ones. Kept by each thread: for a new context OpenSSL
// 3.0 goes through all the names of algorithms that it knows.
struct GroupContexts {
  PkeyContext generating, importing;

  static GroupContexts& of(Group group) {
    thread_local std::array<GroupContexts, std::size(kGroups)> kept;
    return kept[static_cast<size_t>(&factsOf(group) - kGroups)];
  }
};

PkeyContext contextFor(Group group) {
  const char* const type = group == Group::Secp256r1 ? "EC" : factsOf(group).name;
  return PkeyContext(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
}

EVP_PKEY* generated(Group group) {
  PkeyContext& context = GroupContexts::of(group).generating;
  if (!context) {
    context = contextFor(group);
    if (!context || EVP_PKEY_keygen_init(context.get()) != 1 ||
        (group == Group::Secp256r1 &&
         EVP_PKEY_CTX_set_group_name(context.get(), factsOf(group).name) != 1)) {
      context.reset();
    }
  }
  EVP_PKEY* made = nullptr;
  return context && EVP_PKEY_generate(context.get(), &made) == 1 ? made : nullptr;
}

// Null: no public key of the group.
Pkey publicKey(Group group, ByteView share) {
  // RFC 8446 section 4.2.8.2: uncompressed points only; OpenSSL takes "hybrid" ones too.
  constexpr uint8_t kUncompressed = 4;
  if (group == Group::Secp256r1 && share[0] != kUncompressed) return nullptr;
  PkeyContext& context = GroupContexts::of(group).importing;
  if (!context) {
    context = contextFor(group);
    if (!context || EVP_PKEY_fromdata_init(context.get()) != 1) context.reset();
  }
  OSSL_PARAM params[] = {
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, const_cast<uint8_t*>(share.data()),
                                        share.size()),
      OSSL_PARAM_construct_end(), OSSL_PARAM_construct_end()};
  if (group == Group::Secp256r1) {
    params[1] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
                                                 const_cast<char*>(factsOf(group).name), 0);
  }
  EVP_PKEY* made = nullptr;
  if (!context || EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, params) != 1) {
    return nullptr;
  }
  return Pkey(made);
}

bool zeros(ByteView bytes) {
  uint8_t any = 0;
  for (const uint8_t byte : bytes) any |= byte;
  return any == 0;
}

// Diffie-Hellman. Empty: RFC 8446 section 7.4.2 has all-zero results of X25519 refused.
Secret agreed(Group group, EVP_PKEY* own, ByteView peer) {
  const Pkey other = publicKey(group, peer);
  const PkeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, own, nullptr));
  Exchanged scratch;
  if (!other || !context || EVP_PKEY_derive_init(context.get()) != 1 ||
      // Any 32 bytes are a public key of X25519 (RFC 7748 section 5): there is nothing to look at.
      EVP_PKEY_derive_set_peer_ex(context.get(), other.get(), group == Group::Secp256r1 ? 1 : 0) !=
          1 ||
      EVP_PKEY_derive(context.get(), scratch.bytes.data(), &scratch.size) != 1 ||
      scratch.size != factsOf(group).secret || zeros(scratch.first(scratch.size))) {
    return {};
  }
  return scratch.take();
}

Secret decapsulated(Group group, EVP_PKEY* own, ByteView ciphertext) {
  const PkeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, own, nullptr));
  Exchanged scratch;
  if (!context || EVP_PKEY_decapsulate_init(context.get(), nullptr) != 1 ||
      EVP_PKEY_decapsulate(context.get(), scratch.bytes.data(), &scratch.size, ciphertext.data(),
                           ciphertext.size()) != 1 ||
      scratch.size != factsOf(group).secret) {
    return {};
  }
  return scratch.take();
}

std::optional<KeyAnswer> encapsulated(Group group, ByteView client_share) {
  const Pkey peer = publicKey(group, client_share);
  const PkeyContext context(peer ? EVP_PKEY_CTX_new_from_pkey(nullptr, peer.get(), nullptr)
                                 : nullptr);
  KeyAnswer answer{.share = Bytes(serverShareBytes(group)), .shared_secret = {}};
  Exchanged scratch;
  size_t length = answer.share.size();
  if (!context || EVP_PKEY_encapsulate_init(context.get(), nullptr) != 1 ||
      EVP_PKEY_encapsulate(context.get(), answer.share.data(), &length, scratch.bytes.data(),
                           &scratch.size) != 1 ||
      length != answer.share.size() || scratch.size != factsOf(group).secret) {
    return std::nullopt;
  }
  answer.shared_secret = scratch.take();
  return answer;
}

}  // namespace

const char* nameOf(Group group) {
  return group == Group::Secp256r1 ? "secp256r1" : factsOf(group).name;
}

std::optional<Group> groupOf(uint16_t id) {
  const auto* const found = std::ranges::find(kGroups, static_cast<Group>(id), &GroupFacts::group);
  return found == std::end(kGroups) ? std::nullopt : std::optional(found->group);
}

bool available(Group group) {
  if (!isKem(group)) return true;
  static const bool kem = [] {
    const QuietErrors quiet;
    const PkeyContext context = contextFor(Group::X25519MlKem768);
    return context && EVP_PKEY_keygen_init(context.get()) == 1;
  }();
  return kem;
}

size_t clientShareBytes(Group group) { return factsOf(group).client; }
size_t serverShareBytes(Group group) { return factsOf(group).server; }

void KeyShare::FreeKey::operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }

std::optional<KeyShare> KeyShare::make(Group group) {
  if (!available(group)) return std::nullopt;
  const QuietErrors quiet;
  KeyShare made(group, generated(group));
  if (!made.key_) return std::nullopt;
  uint8_t* encoded = nullptr;
  const size_t length = EVP_PKEY_get1_encoded_public_key(made.key_.get(), &encoded);
  if (encoded) made.share_.assign(encoded, encoded + length);
  OPENSSL_free(encoded);
  if (made.share_.size() != clientShareBytes(group)) return std::nullopt;
  return made;
}

Secret KeyShare::finish(ByteView server_share) && {
  const Pkey own(key_.release());
  if (!own || server_share.size() != serverShareBytes(group_)) return {};
  const QuietErrors quiet;
  if (isKem(group_)) return decapsulated(group_, own.get(), server_share);
  return agreed(group_, own.get(), server_share);
}

std::optional<KeyAnswer> answerKeyShare(Group group, ByteView client_share) {
  if (!available(group) || client_share.size() != clientShareBytes(group)) return std::nullopt;
  const QuietErrors quiet;
  if (isKem(group)) return encapsulated(group, client_share);
  std::optional<KeyShare> own = KeyShare::make(group);
  if (!own) return std::nullopt;
  const ByteView share = own->share();
  KeyAnswer answer{.share = Bytes(share.begin(), share.end()), .shared_secret = {}};
  answer.shared_secret = std::move(*own).finish(client_share);
  if (answer.shared_secret.empty()) return std::nullopt;
  return answer;
}

}  // namespace mcbn::dtls13
