// common.h: what the anchors on the system's OpenSSL share: a PSK DTLS 1.2 context, and a datagram BIO
// that can batch.
#pragma once

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

#include "loopback.h"

// The kernel refuses more segments in one UDP_SEGMENT call (UDP_MAX_SEGMENTS; 64 before Linux 6.9).
#define MAX_SEGMENTS 128
#define MAX_BATCH_BYTES 65000
#define MMSG_BATCH 64
#define MMSG_SLOT 2048

// PSK identity "bench", DTLS 1.2 only, one suite, security level 0 (CCM8 counts 64 bits from 3.2
// on).
SSL_CTX* dtls_context(int server, const char* suite);

enum batching { BATCH_NONE, BATCH_MMSG, BATCH_SEGMENT };

// A connected UDP socket under an SSL. Records are sent one by one until `batching` is switched on,
// which is after the handshake; reading is batched from the start.
struct link {
  int fd;
  enum batching kind;
  int batching;

  uint8_t* tx;
  size_t tx_bytes, tx_record, tx_count, tx_limit;

  uint8_t* rx;
  size_t rx_at, rx_end, rx_segment;  // BATCH_SEGMENT
  size_t rx_slot, rx_slots;          // BATCH_MMSG
  size_t rx_length[MMSG_BATCH];
};

void link_open(struct link* link, int fd, enum batching kind);
void link_flush(struct link* link);
SSL* link_ssl(SSL_CTX* context, struct link* link, int server);

// For programs with their own transport: a BIO_METHOD that answers what OpenSSL's DTLS asks for.
BIO_METHOD* datagram_method(int (*write)(BIO*, const char*, int), int (*read)(BIO*, char*, int));
