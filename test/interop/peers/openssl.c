// The echo peer on libssl.
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "echo.h"

static const struct settings* settings;
static SSL* ssl;

static int explain(const char* what) {
  fprintf(stderr, "%s: ", what);
  ERR_print_errors_fp(stderr);
  return 1;
}

static unsigned give_key(unsigned char* key) {
  memcpy(key, settings->key, settings->key_length);
  return (unsigned)settings->key_length;
}

static unsigned on_server(SSL* of, const char* identity, unsigned char* key, unsigned capacity) {
  (void)of;
  (void)capacity;
  return strcmp(identity, settings->identity) == 0 ? give_key(key) : 0;
}

static unsigned on_client(SSL* of, const char* hint, char* identity, unsigned room,
                          unsigned char* key, unsigned capacity) {
  (void)of;
  (void)hint;
  (void)capacity;
  snprintf(identity, room, "%s", settings->identity);
  return give_key(key);
}

int peer_open(const struct settings* told, int socket) {
  settings = told;
  SSL_CTX* context = SSL_CTX_new(DTLS_method());
  SSL_CTX_set_min_proto_version(context, DTLS1_2_VERSION);
  char list[128];
  snprintf(list, sizeof list, "%s:@SECLEVEL=0", told->suite);
  if (SSL_CTX_set_cipher_list(context, list) != 1) return explain("suite");
  SSL_CTX_set_dh_auto(context, 1);
  SSL_CTX_set_options(context, SSL_OP_NO_QUERY_MTU);
  SSL_CTX_set_psk_server_callback(context, on_server);
  SSL_CTX_set_psk_client_callback(context, on_client);
  ssl = SSL_new(context);
  BIO* bio = BIO_new_dgram(socket, BIO_NOCLOSE);
  SSL_set_bio(ssl, bio, bio);
  struct sockaddr_storage peer = {0};
  socklen_t length = sizeof peer;
  getpeername(socket, (struct sockaddr*)&peer, &length);
  BIO_ctrl(bio, BIO_CTRL_DGRAM_SET_CONNECTED, 0, &peer);
  SSL_set_mtu(ssl, 1400);
  for (;;) {
    const int result = told->server ? SSL_accept(ssl) : SSL_connect(ssl);
    if (result == 1) return 0;
    if (SSL_get_error(ssl, result) != SSL_ERROR_WANT_READ) return explain("handshake");
    struct timeval left = {.tv_sec = 1};
    DTLSv1_get_timeout(ssl, &left);
    if (!readable(socket, (int)(left.tv_sec * 1000 + left.tv_usec / 1000 + 1))) {
      DTLSv1_handle_timeout(ssl);
    }
  }
}

int peer_export(unsigned char out[EXPORTER_BYTES]) {
  return !SSL_export_keying_material(ssl, out, EXPORTER_BYTES, EXPORTER_LABEL,
                                     strlen(EXPORTER_LABEL), NULL, 0, 0);
}

int peer_read(unsigned char* message, size_t capacity) {
  ERR_clear_error();
  const int length = SSL_read(ssl, message, (int)capacity);
  if (length > 0) return length;
  switch (SSL_get_error(ssl, length)) {
    case SSL_ERROR_WANT_READ:
      return NOTHING_WAITS;
    case SSL_ERROR_ZERO_RETURN:
      return PEER_CLOSED;
    default:
      explain("read");
      return BROKEN;
  }
}

int peer_write(const unsigned char* message, size_t length) {
  return SSL_write(ssl, message, (int)length) > 0 ? 0 : explain("write");
}

void peer_close(void) { SSL_shutdown(ssl); }
