#include "session/handshake_library.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/provider.h>

#include <array>
#include <optional>
#include <string_view>

#include "session/prf.h"

namespace mcbn {
namespace {

constexpr const char* kName = "mcbn";
constexpr const char* kProperties = "?provider=mcbn";  // what ours does not have is the default's

// ---- the provider: one key derivation function without any state -------------------------------

// OpenSSL takes null for a failure.
void* newContext(void* provider) { return provider; }
void freeContext(void*) {}

std::optional<PskHash> hashNamed(std::string_view name) {
  if (name == "SHA2-256" || name == "SHA256") return PskHash::Sha256;
  if (name == "SHA2-384" || name == "SHA384") return PskHash::Sha384;
  return std::nullopt;  // of no suite of DTLS 1.2
}

int derive(void*, unsigned char* out, size_t length, const OSSL_PARAM* params) {
  constexpr size_t kMostParts = 8;  // libssl has a label and up to four more
  std::optional<PskHash> hash;
  ByteView secret;
  std::array<ByteView, kMostParts> seed;
  size_t parts = 0;
  for (const OSSL_PARAM* param = params; param && param->key; ++param) {
    const std::string_view key = param->key;
    const ByteView value(static_cast<const uint8_t*>(param->data),
                         param->data ? param->data_size : 0);
    if (key == OSSL_KDF_PARAM_DIGEST) {
      hash = hashNamed({reinterpret_cast<const char*>(value.data()), value.size()});
    } else if (key == OSSL_KDF_PARAM_SECRET) {
      secret = value;
    } else if (key == OSSL_KDF_PARAM_SEED && !value.empty()) {
      if (parts == kMostParts) return 0;
      seed[parts++] = value;
    }
  }
  return hash && tls12Prf(*hash, secret, std::span(seed).first(parts), {out, length}) ? 1 : 0;
}

template <typename Function>
constexpr OSSL_DISPATCH entry(int id, Function* function) {
  return {id, reinterpret_cast<void (*)()>(function)};
}

const OSSL_ALGORITHM* algorithms(void*, int operation, int* may_change) {
  static const OSSL_DISPATCH prf[] = {entry(OSSL_FUNC_KDF_NEWCTX, newContext),
                                      entry(OSSL_FUNC_KDF_FREECTX, freeContext),
                                      entry(OSSL_FUNC_KDF_DERIVE, derive),
                                      {0, nullptr}};
  static const OSSL_ALGORITHM functions[] = {
      {OSSL_KDF_NAME_TLS1_PRF, "provider=mcbn", prf, nullptr},
      {nullptr, nullptr, nullptr, nullptr}};
  *may_change = 0;
  return operation == OSSL_OP_KDF ? functions : nullptr;
}

int begin(const OSSL_CORE_HANDLE*, const OSSL_DISPATCH*, const OSSL_DISPATCH** ours,
          void** provider) {
  static const OSSL_DISPATCH operations[] = {entry(OSSL_FUNC_PROVIDER_QUERY_OPERATION, algorithms),
                                             {0, nullptr}};
  static int anything_but_null;
  *ours = operations;
  *provider = &anything_but_null;
  return 1;
}

// ---- the library context -----------------------------------------------------------------------

HandshakeLibrary make() {
  OSSL_LIB_CTX* const context = OSSL_LIB_CTX_new();
  if (!context) return {};
  if (OSSL_PROVIDER_add_builtin(context, kName, begin) == 1 &&
      OSSL_PROVIDER_load(context, "default") && OSSL_PROVIDER_load(context, kName)) {
    return {context, kProperties};
  }
  OSSL_LIB_CTX_free(context);
  return {};
}

int isOpenssls(OSSL_PROVIDER* provider, void*) {
  const std::string_view name = OSSL_PROVIDER_get0_name(provider);
  return name == "default" || name == "base" || name == "legacy" ? 1 : 0;
}

// A program may turn FIPS on at any time.
bool processHasOthers() {
  return EVP_default_properties_is_fips_enabled(nullptr) == 1 ||
         OSSL_PROVIDER_do_all(nullptr, isOpenssls, nullptr) != 1;
}

}  // namespace

HandshakeLibrary handshakeLibrary() {
  if (processHasOthers()) return {};
  static const HandshakeLibrary library = make();
  return library;
}

}  // namespace mcbn
