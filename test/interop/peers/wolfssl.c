// The echo peer on wolfSSL.
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/dh.h>

#include "echo.h"

static const struct settings* settings;
static WOLFSSL* ssl;

// Debian's build has no plain PSK with AES. The names are OpenSSL's here.
static const char* const NAMES[] = {
    "PSK-CHACHA20-POLY1305",       "DHE-PSK-AES128-GCM-SHA256", "DHE-PSK-AES256-GCM-SHA384",
    "DHE-PSK-CHACHA20-POLY1305",   "DHE-PSK-AES128-CCM",        "DHE-PSK-AES256-CCM",
    "ECDHE-PSK-CHACHA20-POLY1305",
};

static int explain(const char* what, int result) {
  char text[80];
  const int error = wolfSSL_get_error(ssl, result);
  fprintf(stderr, "%s: %d %s\n", what, error, wolfSSL_ERR_error_string((unsigned long)error, text));
  return 1;
}

static unsigned give_key(unsigned char* key) {
  memcpy(key, settings->key, settings->key_length);
  return (unsigned)settings->key_length;
}

static unsigned on_server(WOLFSSL* of, const char* identity, unsigned char* key,
                          unsigned capacity) {
  (void)of;
  (void)capacity;
  return strcmp(identity, settings->identity) == 0 ? give_key(key) : 0;
}

static unsigned on_client(WOLFSSL* of, const char* hint, char* identity, unsigned room,
                          unsigned char* key, unsigned capacity) {
  (void)of;
  (void)hint;
  (void)capacity;
  snprintf(identity, room, "%s", settings->identity);
  return give_key(key);
}

int peer_open(const struct settings* told, int socket) {
  settings = told;
  wolfSSL_Init();
  WOLFSSL_CTX* context =
      wolfSSL_CTX_new(told->server ? wolfDTLSv1_2_server_method() : wolfDTLSv1_2_client_method());
  wolfSSL_CTX_set_psk_server_callback(context, on_server);
  wolfSSL_CTX_set_psk_client_callback(context, on_client);
  const size_t row = row_of(told->suite, NAMES, sizeof NAMES / sizeof *NAMES);
  if (wolfSSL_CTX_set_cipher_list(context, NAMES[row]) != WOLFSSL_SUCCESS) {
    fprintf(stderr, "no suite %s\n", NAMES[row]);
    return 1;
  }
  const DhParams* const group = wc_Dh_ffdhe2048_Get();
  wolfSSL_CTX_SetTmpDH(context, group->p, (int)group->p_len, group->g, (int)group->g_len);
  ssl = wolfSSL_new(context);
  wolfSSL_KeepArrays(ssl);  // what the exporter needs
  struct sockaddr_storage peer;
  socklen_t length = sizeof peer;
  getpeername(socket, (struct sockaddr*)&peer, &length);
  wolfSSL_dtls_set_peer(ssl, &peer, length);
  wolfSSL_set_fd(ssl, socket);
  wolfSSL_dtls_set_using_nonblock(ssl, 1);
  for (;;) {
    const int result = told->server ? wolfSSL_accept(ssl) : wolfSSL_connect(ssl);
    if (result == WOLFSSL_SUCCESS) return 0;
    if (wolfSSL_get_error(ssl, result) != WOLFSSL_ERROR_WANT_READ) {
      return explain("handshake", result);
    }
    if (!readable(socket, 1000 * wolfSSL_dtls_get_current_timeout(ssl))) {
      wolfSSL_dtls_got_timeout(ssl);
    }
  }
}

int peer_export(unsigned char out[EXPORTER_BYTES]) {
  return wolfSSL_export_keying_material(ssl, out, EXPORTER_BYTES, EXPORTER_LABEL,
                                        strlen(EXPORTER_LABEL), NULL, 0, 0) != WOLFSSL_SUCCESS;
}

int peer_read(unsigned char* message, size_t capacity) {
  const int length = wolfSSL_read(ssl, message, (int)capacity);
  if (length > 0) return length;
  switch (wolfSSL_get_error(ssl, length)) {
    case WOLFSSL_ERROR_WANT_READ:
      return NOTHING_WAITS;
    case WOLFSSL_ERROR_ZERO_RETURN:
      return PEER_CLOSED;
    default:
      explain("read", length);
      return BROKEN;
  }
}

int peer_write(const unsigned char* message, size_t length) {
  const int result = wolfSSL_write(ssl, message, (int)length);
  return result > 0 ? 0 : explain("write", result);
}

void peer_close(void) { wolfSSL_shutdown(ssl); }
