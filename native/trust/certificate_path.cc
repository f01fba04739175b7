#include "trust/certificate_path.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <climits>
#include <memory>

namespace mcbn {
namespace {

// RSA and DH of 2048 bits, curves of 224, SHA-224 and better: no SHA-1.
constexpr int kSecurityLevel = 2;

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using RevocationList = std::unique_ptr<X509_CRL, Freed<X509_CRL_free>>;
using Store = std::unique_ptr<X509_STORE, Freed<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Freed<X509_STORE_CTX_free>>;

void freeCertificates(STACK_OF(X509) * stack) { sk_X509_pop_free(stack, X509_free); }
void freeLists(STACK_OF(X509_CRL) * stack) { sk_X509_CRL_pop_free(stack, X509_CRL_free); }
using Certificates = std::unique_ptr<STACK_OF(X509), Freed<freeCertificates>>;
using RevocationLists = std::unique_ptr<STACK_OF(X509_CRL), Freed<freeLists>>;

// What is behind the object is for the caller to have looked at.
template <auto Read>
auto* decode(ByteView der) {
  const unsigned char* at = der.data();
  if (der.size() > LONG_MAX) return decltype(Read(nullptr, &at, 0))(nullptr);
  return Read(nullptr, &at, static_cast<long>(der.size()));
}

// Whether all were read.
bool push(STACK_OF(X509) * stack, const std::vector<ByteView>& all) {
  for (const ByteView der : all) {
    Certificate one(decode<d2i_X509>(der));
    if (!one || sk_X509_push(stack, one.get()) <= 0) return false;
    static_cast<void>(one.release());
  }
  return true;
}

bool push(STACK_OF(X509_CRL) * stack, const std::vector<ByteView>& all) {
  for (const ByteView der : all) {
    RevocationList one(decode<d2i_X509_CRL>(der));
    if (!one || sk_X509_CRL_push(stack, one.get()) <= 0) return false;
    static_cast<void>(one.release());
  }
  return true;
}

std::string dotted(const ASN1_OBJECT* object) {
  char text[128];
  const int length = OBJ_obj2txt(text, sizeof text, object, 1);
  // Cut, it would be another identifier.
  return length > 0 && static_cast<size_t>(length) < sizeof text ? text : "";
}

void readExtensions(const X509* leaf, PathVerdict& verdict) {
  for (int at = 0; at < X509_get_ext_count(leaf); ++at) {
    X509_EXTENSION* extension = X509_get_ext(leaf, at);
    const ASN1_OCTET_STRING* value = X509_EXTENSION_get_data(extension);
    const uint8_t* bytes = ASN1_STRING_get0_data(value);
    verdict.extensions.emplace_back(dotted(X509_EXTENSION_get_object(extension)),
                                    Bytes(bytes, bytes + ASN1_STRING_length(value)));
  }
}

PathVerdict failed(std::string why, int depth = 0) { return {std::move(why), depth, {}}; }

PathVerdict judge(const PathRequest& request) {
  const Certificate leaf(decode<d2i_X509>(request.leaf));
  const Certificates intermediates(sk_X509_new_null());
  const Certificates roots(sk_X509_new_null());
  const RevocationLists crls(sk_X509_CRL_new_null());
  const Store store(X509_STORE_new());
  const StoreContext context(X509_STORE_CTX_new());
  if (!intermediates || !roots || !crls || !store || !context) return failed("out of memory");
  if (!leaf || !push(intermediates.get(), request.intermediates) ||
      !push(roots.get(), request.roots)) {
    return failed("expected certificates in DER");
  }
  if (!push(crls.get(), request.crls)) return failed("expected revocation lists in DER");
  if (X509_STORE_CTX_init(context.get(), store.get(), leaf.get(), intermediates.get()) != 1) {
    return failed("out of memory");
  }
  X509_STORE_CTX_set0_trusted_stack(context.get(), roots.get());
  X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_auth_level(rules, kSecurityLevel);
  X509_VERIFY_PARAM_set_time(rules, static_cast<time_t>(request.time));
  // Trusted ones first: a second way to a root's name gains its sender nothing.
  unsigned long flags = X509_V_FLAG_TRUSTED_FIRST;
  if (request.strict) flags |= X509_V_FLAG_X509_STRICT;
  if (!request.crls.empty()) {
    X509_STORE_CTX_set0_crls(context.get(), crls.get());
    flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
  }
  X509_VERIFY_PARAM_set_flags(rules, flags);
  if (X509_verify_cert(context.get()) != 1) {
    return failed(X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get())),
                  X509_STORE_CTX_get_error_depth(context.get()));
  }
  if (request.digital_signature) {
    // All bits are set where the extension is absent.
    const uint32_t usage = X509_get_key_usage(leaf.get());
    if (usage == UINT32_MAX || (usage & KU_DIGITAL_SIGNATURE) == 0) {
      return failed("expected the key usage digitalSignature");
    }
  }
  PathVerdict good;
  readExtensions(leaf.get(), good);
  return good;
}

}  // namespace

PathVerdict validatePath(const PathRequest& request) {
  PathVerdict verdict = judge(request);
  // Node and later calls must not find what OpenSSL said on the way.
  ERR_clear_error();
  return verdict;
}

}  // namespace mcbn
