// The echo peer on Mbed TLS 3, for connection IDs (RFC 9146), which its releases before 3.3 do not have.
// The variable CID has, in hex, the ID that it wants to find in records, of up to 8 bytes; empty for none.
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/ssl.h>
#include <mbedtls/timing.h>
#include <psa/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "echo.h"

#if !defined(MBEDTLS_SSL_DTLS_CONNECTION_ID) || MBEDTLS_SSL_DTLS_CONNECTION_ID_COMPAT != 0
#error "this Mbed TLS has no connection IDs of RFC 9146"
#endif

static mbedtls_ssl_context ssl;
static mbedtls_ssl_config config;
static mbedtls_ctr_drbg_context random_bytes;
static mbedtls_entropy_context entropy;
static mbedtls_timing_delay_context timer;

static const char* const NAMES[] = {
    "PSK-AES128-GCM-SHA256", "PSK-AES256-GCM-SHA384", "PSK-CHACHA20-POLY1305",
    "PSK-AES128-CCM",        "PSK-AES256-CCM",        "PSK-AES128-CCM8",
    "PSK-AES256-CCM8",       "PSK-AES128-CBC-SHA256",
};
static const int SUITES[] = {
    MBEDTLS_TLS_PSK_WITH_AES_128_GCM_SHA256,       MBEDTLS_TLS_PSK_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_PSK_WITH_CHACHA20_POLY1305_SHA256, MBEDTLS_TLS_PSK_WITH_AES_128_CCM,
    MBEDTLS_TLS_PSK_WITH_AES_256_CCM,              MBEDTLS_TLS_PSK_WITH_AES_128_CCM_8,
    MBEDTLS_TLS_PSK_WITH_AES_256_CCM_8,            MBEDTLS_TLS_PSK_WITH_AES_128_CBC_SHA256,
};

static int explain(const char* what, int error) {
  fprintf(stderr, "%s: -0x%04x\n", what, (unsigned)-error);
  return 1;
}

static int on_send(void* socket, const unsigned char* bytes, size_t length) {
  const ssize_t sent = send(*(const int*)socket, bytes, length, 0);
  return sent < 0 ? MBEDTLS_ERR_SSL_WANT_WRITE : (int)sent;
}

static int on_receive(void* socket, unsigned char* bytes, size_t capacity) {
  const ssize_t length = recv(*(const int*)socket, bytes, capacity, 0);
  return length < 0 ? MBEDTLS_ERR_SSL_WANT_READ : (int)length;
}

static size_t own_id(unsigned char id[8]) {
  const char* hex = getenv("CID");
  const size_t length = hex ? strlen(hex) / 2 : 0;
  if (length > 8) exit(2);
  for (size_t i = 0; i < length; i++) {
    unsigned byte = 0;
    if (sscanf(hex + 2 * i, "%2x", &byte) != 1) exit(2);
    id[i] = (unsigned char)byte;
  }
  return length;
}

static void print_peer_id(void) {
  int enabled = 0;
  unsigned char id[MBEDTLS_SSL_CID_OUT_LEN_MAX];
  size_t length = 0;
  if (mbedtls_ssl_get_peer_cid(&ssl, &enabled, id, &length) != 0) return;
  printf("peer cid %s", enabled == MBEDTLS_SSL_CID_ENABLED ? "" : "none");
  for (size_t i = 0; enabled == MBEDTLS_SSL_CID_ENABLED && i < length; i++) printf("%02x", id[i]);
  printf("\n");
}

int peer_open(const struct settings* told, int socket) {
  static int descriptor, suites[2];
  descriptor = socket;
  suites[0] = SUITES[row_of(told->suite, NAMES, sizeof NAMES / sizeof *NAMES)];
  unsigned char id[8];
  const size_t id_length = own_id(id);
  psa_crypto_init();
  mbedtls_ssl_init(&ssl);
  mbedtls_ssl_config_init(&config);
  mbedtls_ctr_drbg_init(&random_bytes);
  mbedtls_entropy_init(&entropy);
  mbedtls_ctr_drbg_seed(&random_bytes, mbedtls_entropy_func, &entropy, NULL, 0);
  const int role = told->server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT;
  mbedtls_ssl_config_defaults(&config, role, MBEDTLS_SSL_TRANSPORT_DATAGRAM,
                              MBEDTLS_SSL_PRESET_DEFAULT);
  mbedtls_ssl_conf_max_tls_version(&config, MBEDTLS_SSL_VERSION_TLS1_2);
  mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random_bytes);
  mbedtls_ssl_conf_ciphersuites(&config, suites);
  mbedtls_ssl_conf_psk(&config, told->key, told->key_length, (const unsigned char*)told->identity,
                       strlen(told->identity));
  if (told->server) mbedtls_ssl_conf_dtls_cookies(&config, NULL, NULL, NULL);
  int wrong = mbedtls_ssl_conf_cid(&config, id_length, MBEDTLS_SSL_UNEXPECTED_CID_IGNORE);
  if (wrong != 0) return explain("conf_cid", wrong);
  wrong = mbedtls_ssl_setup(&ssl, &config);
  if (wrong != 0) return explain("setup", wrong);
  wrong = mbedtls_ssl_set_cid(&ssl, MBEDTLS_SSL_CID_ENABLED, id, id_length);
  if (wrong != 0) return explain("set_cid", wrong);
  mbedtls_ssl_set_bio(&ssl, &descriptor, on_send, on_receive, NULL);
  mbedtls_ssl_set_timer_cb(&ssl, &timer, mbedtls_timing_set_delay, mbedtls_timing_get_delay);
  for (;;) {
    const int result = mbedtls_ssl_handshake(&ssl);
    if (result == 0) break;
    if (result != MBEDTLS_ERR_SSL_WANT_READ && result != MBEDTLS_ERR_SSL_WANT_WRITE) {
      return explain("handshake", result);
    }
    readable(socket, 20);
  }
  print_peer_id();
  return 0;
}

// Another test's.
int peer_export(unsigned char out[EXPORTER_BYTES]) {
  (void)out;
  return 1;
}

int peer_read(unsigned char* message, size_t capacity) {
  const int length = mbedtls_ssl_read(&ssl, message, capacity);
  if (length > 0) return length;
  switch (length) {
    case MBEDTLS_ERR_SSL_WANT_READ:
    case MBEDTLS_ERR_SSL_WANT_WRITE:
      return NOTHING_WAITS;
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
      return PEER_CLOSED;
    default:
      explain("read", length);
      return BROKEN;
  }
}

int peer_write(const unsigned char* message, size_t length) {
  const int result = mbedtls_ssl_write(&ssl, message, length);
  return result > 0 ? 0 : explain("write", result);
}

void peer_close(void) { mbedtls_ssl_close_notify(&ssl); }
