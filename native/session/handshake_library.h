// handshake_library.h: where OpenSSL's DTLS handshakes take their algorithms from: a library context apart
// from the process's, with OpenSSL's default provider and one of ours beside it that has the PRF of
// TLS 1.2 (prf.h) and nothing else. A handshake needs it four times, and OpenSSL's own takes a quarter
// of its time; docs/BENCHMARKS.md has the figures.
//
// Apart, so that node:crypto and node:tls have what they had. Where the process is told to use other
// providers (FIPS, a token), handshakes use them too, and none of this.
//
// Ownership   made once and never freed, as the process's library context is.
// Thread      any.
#pragma once

#include <openssl/crypto.h>

namespace mcbn {

// As SSL_CTX_new_ex() takes them; null: the process's.
struct HandshakeLibrary {
  OSSL_LIB_CTX* context = nullptr;
  const char* properties = nullptr;
};

HandshakeLibrary handshakeLibrary();

}  // namespace mcbn
