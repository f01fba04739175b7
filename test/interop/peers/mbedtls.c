// The echo peer on Mbed TLS 2.28.
#include <errno.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_cookie.h>
#include <mbedtls/timing.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "echo.h"

static mbedtls_ssl_context ssl;
static mbedtls_ssl_config config;
static mbedtls_ctr_drbg_context random_bytes;
static mbedtls_entropy_context entropy;
static mbedtls_timing_delay_context timer;
static mbedtls_ssl_cookie_ctx cookies;
static unsigned char master[48], randoms[64];
static mbedtls_tls_prf_types prf;

static const char* const NAMES[] = {
    "PSK-AES128-GCM-SHA256",
    "PSK-AES256-GCM-SHA384",
    "PSK-CHACHA20-POLY1305",
    "PSK-AES128-CCM",
    "PSK-AES256-CCM",
    "PSK-AES128-CCM8",
    "PSK-AES256-CCM8",
    "DHE-PSK-AES128-GCM-SHA256",
    "DHE-PSK-AES256-GCM-SHA384",
    "DHE-PSK-CHACHA20-POLY1305",
    "DHE-PSK-AES128-CCM",
    "DHE-PSK-AES256-CCM",
    "DHE-PSK-AES128-CCM8",
    "DHE-PSK-AES256-CCM8",
    "ECDHE-PSK-CHACHA20-POLY1305",
};
static const int SUITES[] = {
    MBEDTLS_TLS_PSK_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_PSK_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_PSK_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_PSK_WITH_AES_128_CCM,
    MBEDTLS_TLS_PSK_WITH_AES_256_CCM,
    MBEDTLS_TLS_PSK_WITH_AES_128_CCM_8,
    MBEDTLS_TLS_PSK_WITH_AES_256_CCM_8,
    MBEDTLS_TLS_DHE_PSK_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_DHE_PSK_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_DHE_PSK_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_DHE_PSK_WITH_AES_128_CCM,
    MBEDTLS_TLS_DHE_PSK_WITH_AES_256_CCM,
    MBEDTLS_TLS_DHE_PSK_WITH_AES_128_CCM_8,
    MBEDTLS_TLS_DHE_PSK_WITH_AES_256_CCM_8,
    MBEDTLS_TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256,
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

// This release has no exporter, but tells what one is made of (RFC 5705 section 4).
static int on_keys(void* none, const unsigned char* secret, const unsigned char* block, size_t mac,
                   size_t key, size_t iv, const unsigned char client[32],
                   const unsigned char server[32], mbedtls_tls_prf_types type) {
  (void)none, (void)block, (void)mac, (void)key, (void)iv;
  memcpy(master, secret, sizeof master);
  memcpy(randoms, client, 32);
  memcpy(randoms + 32, server, 32);
  prf = type;
  return 0;
}

static int ask_for_cookies(void) {
  mbedtls_ssl_cookie_init(&cookies);
  mbedtls_ssl_conf_dtls_cookies(&config, mbedtls_ssl_cookie_write, mbedtls_ssl_cookie_check,
                                &cookies);
  return mbedtls_ssl_cookie_setup(&cookies, mbedtls_ctr_drbg_random, &random_bytes);
}

// Cookies are made of it. There is one client.
static int name_client(void) {
  static const unsigned char name[] = "client";
  return mbedtls_ssl_set_client_transport_id(&ssl, name, sizeof name);
}

int peer_open(const struct settings* told, int socket) {
  static int descriptor, suites[2];
  descriptor = socket;
  suites[0] = SUITES[row_of(told->suite, NAMES, sizeof NAMES / sizeof *NAMES)];
  mbedtls_ssl_init(&ssl);
  mbedtls_ssl_config_init(&config);
  mbedtls_ctr_drbg_init(&random_bytes);
  mbedtls_entropy_init(&entropy);
  mbedtls_ctr_drbg_seed(&random_bytes, mbedtls_entropy_func, &entropy, NULL, 0);
  const int role = told->server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT;
  mbedtls_ssl_config_defaults(&config, role, MBEDTLS_SSL_TRANSPORT_DATAGRAM,
                              MBEDTLS_SSL_PRESET_DEFAULT);
  mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random_bytes);
  mbedtls_ssl_conf_ciphersuites(&config, suites);
  mbedtls_ssl_conf_psk(&config, told->key, told->key_length, (const unsigned char*)told->identity,
                       strlen(told->identity));
  mbedtls_ssl_conf_export_keys_ext_cb(&config, on_keys, NULL);
  int wrong = told->server ? ask_for_cookies() : 0;
  if (wrong == 0) wrong = mbedtls_ssl_setup(&ssl, &config);
  if (wrong == 0 && told->server) wrong = name_client();
  if (wrong != 0) return explain("setup", wrong);
  mbedtls_ssl_set_bio(&ssl, &descriptor, on_send, on_receive, NULL);
  mbedtls_ssl_set_timer_cb(&ssl, &timer, mbedtls_timing_set_delay, mbedtls_timing_get_delay);
  for (;;) {
    const int result = mbedtls_ssl_handshake(&ssl);
    if (result == 0) return 0;
    // The client's next hello begins anew: that with the cookie, or of the version that it falls back to.
    if (result == MBEDTLS_ERR_SSL_HELLO_VERIFY_REQUIRED ||
        result == MBEDTLS_ERR_SSL_NO_CIPHER_CHOSEN) {
      if ((wrong = mbedtls_ssl_session_reset(&ssl)) != 0 || (wrong = name_client()) != 0) {
        return explain("reset", wrong);
      }
      continue;
    }
    if (result != MBEDTLS_ERR_SSL_WANT_READ && result != MBEDTLS_ERR_SSL_WANT_WRITE) {
      return explain("handshake", result);
    }
    readable(socket, 20);
  }
}

int peer_export(unsigned char out[EXPORTER_BYTES]) {
  return mbedtls_ssl_tls_prf(prf, master, sizeof master, EXPORTER_LABEL, randoms, sizeof randoms,
                             out, EXPORTER_BYTES);
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
