// client_records.h: the application records of a DTLS 1.2 client whose handshake OpenSSL has done, sealed
// and opened here. A thousand SSL objects cost a generator more than the servers that it is to measure.
//
// For the CCM8, CCM and GCM suites with SHA-256 and 128-bit keys, which are what is measured.
#pragma once

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

struct client_records {
  EVP_CIPHER_CTX* seal;
  EVP_CIPHER_CTX* open;
  uint64_t next;  // record number, without the epoch
  size_t tag;
};

#define RECORD_HEADER 13
#define RECORD_AROUND (RECORD_HEADER + 8 + 16)  // at most

// Takes the keys of a handshake that is done; the SSL can be freed then. Ends the program where the
// suite is another one.
void client_records_take(struct client_records* records, SSL* ssl);
// Writes one record with `message` to `out`, which has room for RECORD_AROUND bytes more than that;
// its length.
size_t client_records_seal(struct client_records* records, const uint8_t* message, size_t length,
                           uint8_t* out);
// Opens one datagram in place. The length of its message; 0 for what is no application record, or forged.
size_t client_records_open(struct client_records* records, uint8_t* datagram, size_t length);
