// client_records.h: the encrypted records of a DTLS 1.2 client, sealed and opened here. A thousand SSL objects
// cost a generator more than the servers that it is to measure.
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

// Client key, server key, client IV, server IV (RFC 5246 section 6.3, of a suite without MAC keys).
#define KEY_BLOCK_BYTES (2 * 16 + 2 * 4)

// The first record that is sealed is the Finished, 0. Ends the program where the suite is another one.
void client_records_begin(struct client_records* records, const SSL_CIPHER* suite,
                          uint8_t* key_block);
void client_records_end(struct client_records* records);
// Writes one record with `message` to `out`, which has room for RECORD_AROUND bytes more than that; its
// length. Of application data, or of a type.
size_t client_records_seal(struct client_records* records, const uint8_t* message, size_t length,
                           uint8_t* out);
size_t client_records_seal_as(struct client_records* records, int type, const uint8_t* message,
                              size_t length, uint8_t* out);
// Opens one record in place. The length of its message; 0 for what is another record, or forged.
size_t client_records_open_as(struct client_records* records, int type, uint8_t* record,
                              size_t length);
size_t client_records_open(struct client_records* records, uint8_t* datagram, size_t length);
