// The PRF of RFC 5246 section 5, and that DTLS handshakes, and nothing else, compute with ours.
#include "session/prf.h"

#include <doctest/doctest.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rand.h>

#include <memory>
#include <string>
#include <vector>

#include "session/handshake_library.h"

using namespace mcbn;

namespace {

struct FreeKdf {
  void operator()(EVP_KDF* kdf) const { EVP_KDF_free(kdf); }
  void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
};
using Kdf = std::unique_ptr<EVP_KDF, FreeKdf>;

Kdf prfOf(const HandshakeLibrary& library) {
  return Kdf(EVP_KDF_fetch(library.context, OSSL_KDF_NAME_TLS1_PRF, library.properties));
}

std::string providerOf(const Kdf& kdf) {
  return OSSL_PROVIDER_get0_name(EVP_KDF_get0_provider(kdf.get()));
}

OSSL_PARAM octets(const char* name, const Bytes& bytes) {
  return OSSL_PARAM_construct_octet_string(name, const_cast<uint8_t*>(bytes.data()), bytes.size());
}

OSSL_PARAM digest(const char* name) {
  return OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, const_cast<char*>(name), 0);
}

// Empty: it was refused.
Bytes derived(const Kdf& kdf, std::vector<OSSL_PARAM> params, size_t length) {
  params.push_back(OSSL_PARAM_construct_end());
  const std::unique_ptr<EVP_KDF_CTX, FreeKdf> context(EVP_KDF_CTX_new(kdf.get()));
  Bytes out(length);
  if (EVP_KDF_derive(context.get(), out.data(), out.size(), params.data()) != 1) return {};
  return out;
}

Bytes random(size_t length) {
  Bytes bytes(length);
  REQUIRE(RAND_bytes(bytes.data(), static_cast<int>(length)) == 1);
  return bytes;
}

}  // namespace

TEST_CASE(
    "the PRF refuses to compute without a secret, with an unknown digest, and with too many "
    "seeds") {
  const Kdf ours = prfOf(handshakeLibrary());
  REQUIRE(ours);
  const Bytes secret = random(48), seed = random(64);
  const OSSL_PARAM good = octets(OSSL_KDF_PARAM_SECRET, secret);
  const OSSL_PARAM part = octets(OSSL_KDF_PARAM_SEED, seed);
  CHECK(derived(ours, {digest("SHA256"), good, part}, 12).size() == 12);
  CHECK(derived(ours, {digest("SHA256"), part}, 12).empty());
  CHECK(derived(ours, {digest("SHA256"), octets(OSSL_KDF_PARAM_SECRET, {}), part}, 12).empty());
  CHECK(derived(ours, {good, part}, 12).empty());
  CHECK(derived(ours, {}, 12).empty());
  for (const char* other : {"MD5-SHA1", "SHA1", "SHA2-25", "SHA2-2567", "", "no digest at all"}) {
    CAPTURE(other);
    CHECK(derived(ours, {digest(other), good, part}, 12).empty());
  }
  std::vector<OSSL_PARAM> many = {digest("SHA256"), good};
  for (int i = 0; i < 8; ++i) many.push_back(part);
  CHECK(derived(ours, many, 12).size() == 12);
  many.push_back(part);
  CHECK(derived(ours, many, 12).empty());
}

// RFC 5246 section 5: P_hash goes on until there is enough, and the last block is cut.
TEST_CASE("the PRF has OpenSSL's output, for both hashes, secrets and seeds of any length") {
  const Kdf ours = prfOf(handshakeLibrary());
  const Kdf openssls = prfOf({});
  REQUIRE(ours);
  REQUIRE(openssls);
  for (const char* hash : {"SHA2-256", "SHA2-384", "SHA256", "SHA384"}) {
    for (const size_t secret_length : {1, 32, 48, 64, 65, 128, 129, 300}) {
      const Bytes secret = random(secret_length);
      for (const size_t length : {1, 12, 31, 32, 33, 47, 48, 49, 64, 88, 96, 104, 200}) {
        CAPTURE(hash);
        CAPTURE(secret_length);
        CAPTURE(length);
        const Bytes label = random(15), first = random(length), second = random(32);
        const std::vector<OSSL_PARAM> params = {
            digest(hash),
            octets(OSSL_KDF_PARAM_SECRET, secret),
            octets(OSSL_KDF_PARAM_SEED, label),
            octets(OSSL_KDF_PARAM_SEED, first),
            OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, nullptr, 0),
            octets(OSSL_KDF_PARAM_SEED, second),
        };
        const Bytes made = derived(ours, params, length);
        CHECK(made.size() == length);
        CHECK(made == derived(openssls, params, length));
      }
    }
  }
}

TEST_CASE("only handshakes have our PRF, and our PRF is all they have that OpenSSL did not make") {
  const HandshakeLibrary library = handshakeLibrary();
  REQUIRE(library.context);
  CHECK(providerOf(prfOf(library)) == "mcbn");
  CHECK(providerOf(prfOf({})) == "default");
  CHECK(providerOf(prfOf({nullptr, library.properties})) == "default");
  const Kdf other(EVP_KDF_fetch(library.context, OSSL_KDF_NAME_HKDF, library.properties));
  CHECK(providerOf(other) == "default");
  EVP_MD* const hash = EVP_MD_fetch(library.context, "SHA256", library.properties);
  CHECK(std::string(OSSL_PROVIDER_get0_name(EVP_MD_get0_provider(hash))) == "default");
  EVP_MD_free(hash);
}

TEST_CASE("a process that was told to use other algorithms has its handshakes use them too") {
  REQUIRE(EVP_default_properties_enable_fips(nullptr, 1) == 1);
  const HandshakeLibrary told = handshakeLibrary();
  REQUIRE(EVP_default_properties_enable_fips(nullptr, 0) == 1);
  CHECK(told.context == nullptr);
  CHECK(told.properties == nullptr);
  CHECK(handshakeLibrary().context != nullptr);
}
