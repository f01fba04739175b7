// The echo peer on wolfSSL's DTLS 1.3 (5.9, see scripts/newer-peers.sh).
//
// Options: psk_ke, psk_dhe_ke (the only mode then); group=<number> (of the key share; without it the
// hello has none); id=<bytes> (connection ID to us); fragments (server: takes a first hello in
// fragments); no-cookie (server). A message "update keys" has new keys made before it is sent back.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include "echo.h"

static const struct settings* settings;
static WOLFSSL* ssl;
static const char* cipher;

static const char* const SUITES[] = {
    "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",   "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256",
};
static const char* const NAMES[] = {
    "TLS13-AES128-GCM-SHA256", "TLS13-AES256-GCM-SHA384",   "TLS13-CHACHA20-POLY1305-SHA256",
    "TLS13-AES128-CCM-SHA256", "TLS13-AES128-CCM-8-SHA256",
};

static int explain(const char* what, int result) {
  char text[80];
  const int error = wolfSSL_get_error(ssl, result);
  fprintf(stderr, "%s: %d %s\n", what, error, wolfSSL_ERR_error_string((unsigned long)error, text));
  return 1;
}

static unsigned give_key(unsigned char* key, const char** suite) {
  memcpy(key, settings->key, settings->key_length);
  *suite = cipher;
  return (unsigned)settings->key_length;
}

static unsigned on_server(WOLFSSL* of, const char* identity, unsigned char* key, unsigned capacity,
                          const char** suite) {
  (void)of;
  (void)capacity;
  return strcmp(identity, settings->identity) == 0 ? give_key(key, suite) : 0;
}

static unsigned on_client(WOLFSSL* of, const char* hint, char* identity, unsigned room,
                          unsigned char* key, unsigned capacity, const char** suite) {
  (void)of;
  (void)hint;
  (void)capacity;
  snprintf(identity, room, "%s", settings->identity);
  return give_key(key, suite);
}

static void apply_options(void) {
  if (option_of(settings, "psk_ke") != NULL) wolfSSL_no_dhe_psk(ssl);
  if (option_of(settings, "psk_dhe_ke") != NULL) wolfSSL_only_dhe_psk(ssl);
  const char* const group = option_of(settings, "group");
  if (group != NULL) {
    int groups[] = {atoi(group)};
    wolfSSL_set_groups(ssl, groups, 1);
    if (!settings->server) wolfSSL_UseKeyShare(ssl, (word16)groups[0]);
  }
  const char* const id = option_of(settings, "id");
  if (id != NULL) {
    unsigned char bytes[255];
    memset(bytes, 'w', sizeof bytes);
    wolfSSL_dtls_cid_use(ssl);
    wolfSSL_dtls_cid_set(ssl, bytes, (unsigned)atoi(id));
  }
  if (option_of(settings, "fragments") != NULL) wolfSSL_dtls13_allow_ch_frag(ssl, 1);
  if (option_of(settings, "no-cookie") != NULL) wolfSSL_disable_hrr_cookie(ssl);
}

// Waits for the next datagram of the handshake, and has wolfSSL repeat what is due.
static int next_datagram(int socket) {
  const int seconds = wolfSSL_dtls_get_current_timeout(ssl);
  const int wait = wolfSSL_dtls13_use_quick_timeout(ssl) ? 250 * seconds : 1000 * seconds;
  return readable(socket, wait) || wolfSSL_dtls_got_timeout(ssl) == WOLFSSL_SUCCESS;
}

int peer_open(const struct settings* told, int socket) {
  settings = told;
  cipher = NAMES[row_of(told->suite, SUITES, sizeof SUITES / sizeof *SUITES)];
  wolfSSL_Init();
  WOLFSSL_CTX* context =
      wolfSSL_CTX_new(told->server ? wolfDTLSv1_3_server_method() : wolfDTLSv1_3_client_method());
  wolfSSL_CTX_set_psk_server_tls13_callback(context, on_server);
  wolfSSL_CTX_set_psk_client_tls13_callback(context, on_client);
  // There is no certificate: a server that shows one has passed over the key.
  wolfSSL_CTX_set_verify(context, WOLFSSL_VERIFY_PEER, NULL);
  if (wolfSSL_CTX_set_cipher_list(context, cipher) != WOLFSSL_SUCCESS) {
    fprintf(stderr, "no suite %s\n", cipher);
    return 1;
  }
  ssl = wolfSSL_new(context);
  wolfSSL_KeepArrays(ssl);  // what the exporter needs
  apply_options();
  struct sockaddr_storage peer;
  socklen_t length = sizeof peer;
  getpeername(socket, (struct sockaddr*)&peer, &length);
  wolfSSL_dtls_set_peer(ssl, &peer, length);
  wolfSSL_set_fd(ssl, socket);
  wolfSSL_dtls_set_using_nonblock(ssl, 1);
  for (;;) {
    const int result = told->server ? wolfSSL_accept(ssl) : wolfSSL_connect(ssl);
    if (result == WOLFSSL_SUCCESS) break;
    if (wolfSSL_get_error(ssl, result) != WOLFSSL_ERROR_WANT_READ || !next_datagram(socket)) {
      return explain("handshake", result);
    }
  }
  printf("ids %d\n", wolfSSL_dtls_cid_is_enabled(ssl));
  return 0;
}

int peer_export(unsigned char out[EXPORTER_BYTES]) {
  return wolfSSL_export_keying_material(ssl, out, EXPORTER_BYTES, EXPORTER_LABEL,
                                        strlen(EXPORTER_LABEL), NULL, 0, 0) != WOLFSSL_SUCCESS;
}

int peer_read(unsigned char* message, size_t capacity) {
  static const char update[] = "update keys";
  const int length = wolfSSL_read(ssl, message, (int)capacity);
  if (length > 0) {
    if (length == sizeof update - 1 && memcmp(message, update, sizeof update - 1) == 0) {
      wolfSSL_update_keys(ssl);
    }
    return length;
  }
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
