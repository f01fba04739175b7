// client_handshake.h: the client's side of a DTLS 1.2 handshake with a plain PSK suite, without an SSL object
// for each: one costs a generator as much as the servers that it is to measure.
//
// The ClientHello is OpenSSL's, with another random. Of what the server says it checks what it needs: cookie,
// suite and extended master secret, and that the Finished opens; not what the Finished says, for these
// clients have nothing to lose.
#pragma once

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

#include "client_records.h"

#define FLIGHT_BYTES 1400

struct client_handshake {
  uint8_t client_random[32], server_random[32];
  EVP_MD_CTX* transcript;
  uint8_t flight[FLIGHT_BYTES];  // the last one
  size_t flight_length;
  uint64_t next_record;  // in the clear
  int answered;          // the server's first flight has come
  struct client_records records;
};

// Learns the ClientHello of this context, once. Ends the program where the suite is another kind.
void client_handshake_prepare(SSL_CTX* context);
// The first flight is there to be sent.
void client_handshake_begin(struct client_handshake* handshake);
enum client_progress { CLIENT_WAITS, CLIENT_ANSWERS, CLIENT_DONE };
// Takes one datagram. CLIENT_ANSWERS: the next flight is there to be sent. CLIENT_DONE: `records` is what
// goes on.
enum client_progress client_handshake_take(struct client_handshake* handshake, uint8_t* datagram,
                                           size_t length);
// The goodbye of a session that is done is there to be sent.
void client_handshake_close(struct client_handshake* handshake);
// Frees everything but `records`.
void client_handshake_free(struct client_handshake* handshake);
