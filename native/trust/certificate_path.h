// certificate_path.h: whether a chain of certificates leads to a root that its caller pins.
//
// Ownership   everything is borrowed for the call; nothing is kept.
// Thread      any; no state. The calling thread pays: a few signatures.
// Spec        RFC 5280 section 6, by OpenSSL's X509_verify_cert at security level 2 (112 bits): path
//             lengths, name constraints, critical extensions, key usages, sizes of keys, digests.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace mcbn {

struct PathRequest {
  ByteView leaf;  // DER, as all of them
  std::vector<ByteView> intermediates;
  std::vector<ByteView> roots;  // trusted, self-signed
  std::vector<ByteView> crls;   // if there are any, every certificate but the root needs one
  int64_t time = 0;             // Unix seconds: validity is judged as of then
  // RFC 5280 to the letter (X509_V_FLAG_X509_STRICT): key identifiers, critical constraints.
  bool strict = true;
  // The leaf has to have digitalSignature among its key usages.
  bool digital_signature = true;
};

struct PathVerdict {
  std::string failure;  // OpenSSL's words; empty: the chain is good
  int depth = 0;        // of the certificate that failed; 0 is the leaf
  // The leaf's extensions, object identifier in dots and value; only of a good chain.
  std::vector<std::pair<std::string, Bytes>> extensions;
};

PathVerdict validatePath(const PathRequest& request);

}  // namespace mcbn
