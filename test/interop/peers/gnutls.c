// The echo peer on libgnutls.
#include <gnutls/dtls.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

#include "echo.h"

static const struct settings* settings;
static gnutls_session_t session;

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
static const char* const PRIORITIES[] = {
    "+PSK:+AES-128-GCM",           "+PSK:+AES-256-GCM",       "+PSK:+CHACHA20-POLY1305",
    "+PSK:+AES-128-CCM",           "+PSK:+AES-256-CCM",       "+PSK:+AES-128-CCM-8",
    "+PSK:+AES-256-CCM-8",         "+DHE-PSK:+AES-128-GCM",   "+DHE-PSK:+AES-256-GCM",
    "+DHE-PSK:+CHACHA20-POLY1305", "+DHE-PSK:+AES-128-CCM",   "+DHE-PSK:+AES-256-CCM",
    "+DHE-PSK:+AES-128-CCM-8",     "+DHE-PSK:+AES-256-CCM-8", "+ECDHE-PSK:+CHACHA20-POLY1305",
};

static int explain(const char* what, int error) {
  fprintf(stderr, "%s: %s\n", what, gnutls_strerror(error));
  return 1;
}

static int on_server(gnutls_session_t of, const char* identity, gnutls_datum_t* key) {
  (void)of;
  if (strcmp(identity, settings->identity) != 0) return -1;
  key->data = gnutls_malloc(settings->key_length);
  key->size = (unsigned)settings->key_length;
  memcpy(key->data, settings->key, settings->key_length);
  return 0;
}

static void set_credentials(const struct settings* told) {
  if (told->server) {
    gnutls_psk_server_credentials_t server;
    gnutls_psk_allocate_server_credentials(&server);
    gnutls_psk_set_server_credentials_function(server, on_server);
    gnutls_psk_set_server_known_dh_params(server, GNUTLS_SEC_PARAM_MEDIUM);
    gnutls_credentials_set(session, GNUTLS_CRD_PSK, server);
    return;
  }
  gnutls_psk_client_credentials_t client;
  gnutls_psk_allocate_client_credentials(&client);
  const gnutls_datum_t key = {.data = (unsigned char*)told->key,
                              .size = (unsigned)told->key_length};
  gnutls_psk_set_client_credentials(client, told->identity, &key, GNUTLS_PSK_KEY_RAW);
  gnutls_credentials_set(session, GNUTLS_CRD_PSK, client);
}

int peer_open(const struct settings* told, int socket) {
  settings = told;
  const unsigned role = told->server ? GNUTLS_SERVER : GNUTLS_CLIENT;
  gnutls_init(&session, role | GNUTLS_DATAGRAM | GNUTLS_NONBLOCK);
  char priority[256];
  const size_t row = row_of(told->suite, NAMES, sizeof NAMES / sizeof *NAMES);
  snprintf(priority, sizeof priority, "NORMAL:-VERS-ALL:+VERS-DTLS1.2:-KX-ALL:-CIPHER-ALL:%s",
           PRIORITIES[row]);
  const int wrong = gnutls_priority_set_direct(session, priority, NULL);
  if (wrong != 0) return explain(priority, wrong);
  set_credentials(told);
  gnutls_transport_set_int(session, socket);
  gnutls_dtls_set_mtu(session, 1400);
  for (;;) {
    const int result = gnutls_handshake(session);
    if (result == 0) return 0;
    if (gnutls_error_is_fatal(result)) return explain("handshake", result);
    readable(socket, (int)gnutls_dtls_get_timeout(session) + 1);
  }
}

int peer_export(unsigned char out[EXPORTER_BYTES]) {
  return gnutls_prf_rfc5705(session, strlen(EXPORTER_LABEL), EXPORTER_LABEL, 0, NULL,
                            EXPORTER_BYTES, (char*)out);
}

int peer_read(unsigned char* message, size_t capacity) {
  const ssize_t length = gnutls_record_recv(session, message, capacity);
  if (length > 0) return (int)length;
  if (length == 0) return PEER_CLOSED;
  if (!gnutls_error_is_fatal((int)length)) return NOTHING_WAITS;
  explain("read", (int)length);
  return BROKEN;
}

int peer_write(const unsigned char* message, size_t length) {
  const ssize_t result = gnutls_record_send(session, message, length);
  return result > 0 ? 0 : explain("write", (int)result);
}

void peer_close(void) { gnutls_bye(session, GNUTLS_SHUT_WR); }
