// wolfssl13.c: DTLS 1.3 with a pre-shared key on wolfSSL, a datagram a call, as its API has it. Built and
// run with what scripts/newer-peers.sh unpacks. A mode is psk_ke or psk_dhe_ke (X25519).
//
//   wolfssl13 receive <mode> <seconds>           prints port, started, cost (us), result: messages/s
//   wolfssl13 send <mode> <port> <bytes>         sends until it is ended
//   wolfssl13 serve <mode>                       prints port, one client after the other
//   wolfssl13 handshakes <mode> <port> <seconds> started, result: handshakes/s, one after the other
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include "loopback.h"

static const char kCipher[] = "TLS13-AES128-GCM-SHA256";

void die(const char* what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static unsigned give_key(unsigned char* key, const char** cipher) {
  memcpy(key, kKey, sizeof kKey);
  *cipher = kCipher;
  return sizeof kKey;
}

static unsigned on_server(WOLFSSL* ssl, const char* identity, unsigned char* key, unsigned room,
                          const char** cipher) {
  (void)ssl, (void)room;
  return strcmp(identity, kIdentity) == 0 ? give_key(key, cipher) : 0;
}

static unsigned on_client(WOLFSSL* ssl, const char* hint, char* identity, unsigned length,
                          unsigned char* key, unsigned room, const char** cipher) {
  (void)ssl, (void)hint, (void)room;
  snprintf(identity, length, "%s", kIdentity);
  return give_key(key, cipher);
}

static WOLFSSL_CTX* context_of(int server) {
  WOLFSSL_CTX* context =
      wolfSSL_CTX_new(server ? wolfDTLSv1_3_server_method() : wolfDTLSv1_3_client_method());
  wolfSSL_CTX_set_psk_server_tls13_callback(context, on_server);
  wolfSSL_CTX_set_psk_client_tls13_callback(context, on_client);
  wolfSSL_CTX_set_verify(context, WOLFSSL_VERIFY_PEER, NULL);
  wolfSSL_CTX_no_ticket_TLSv13(context);
  if (wolfSSL_CTX_set_cipher_list(context, kCipher) != WOLFSSL_SUCCESS) die("suite");
  return context;
}

// A handshake on a blocking socket; wolfSSL looks after its timers. Null: it came to nothing.
static WOLFSSL* session_on(WOLFSSL_CTX* context, int fd, struct sockaddr_in peer, const char* mode,
                           int server) {
  WOLFSSL* ssl = wolfSSL_new(context);
  if (strcmp(mode, "psk_ke") == 0) {
    wolfSSL_no_dhe_psk(ssl);
  } else {
    int groups[] = {WOLFSSL_ECC_X25519};
    wolfSSL_only_dhe_psk(ssl);
    wolfSSL_set_groups(ssl, groups, 1);
    if (!server) wolfSSL_UseKeyShare(ssl, WOLFSSL_ECC_X25519);
  }
  wolfSSL_dtls_set_peer(ssl, &peer, sizeof peer);
  wolfSSL_set_fd(ssl, fd);
  if ((server ? wolfSSL_accept(ssl) : wolfSSL_connect(ssl)) == WOLFSSL_SUCCESS) return ssl;
  wolfSSL_free(ssl);
  return NULL;
}

static struct sockaddr_in first_sender(int fd) {
  struct sockaddr_in peer;
  socklen_t length = sizeof peer;
  char byte;
  if (recvfrom(fd, &byte, 1, MSG_PEEK, (struct sockaddr*)&peer, &length) < 0) die("recvfrom");
  return peer;
}

static void receive(const char* mode, double seconds) {
  int port;
  const int fd = udp_socket(&port);
  say("port", port);
  WOLFSSL* ssl = session_on(context_of(1), fd, first_sender(fd), mode, 1);
  if (!ssl) die("handshake");
  static uint8_t message[16384];
  do {
    if (wolfSSL_read(ssl, message, sizeof message) <= 0) die("read");
  } while (!count_message(seconds));
}

static void transmit(const char* mode, int port, int bytes) {
  const int fd = udp_socket(NULL);
  udp_connect(fd, port);
  WOLFSSL* ssl = session_on(context_of(0), fd, loopback(port), mode, 0);
  if (!ssl) die("handshake");
  static uint8_t message[16384];
  memset(message, 'm', sizeof message);
  const double end = seconds_now() + LIFETIME_SECONDS;
  while (seconds_now() < end) {
    for (int i = 0; i < 1024; i++) {
      if (wolfSSL_write(ssl, message, bytes) <= 0) die("write");
    }
  }
}

static void serve(const char* mode) {
  int port;
  const int fd = udp_socket(&port);
  WOLFSSL_CTX* context = context_of(1);
  say("port", port);
  const double end = seconds_now() + LIFETIME_SECONDS;
  while (seconds_now() < end) {
    WOLFSSL* ssl = session_on(context, fd, first_sender(fd), mode, 1);
    if (!ssl) continue;
    uint8_t byte;
    wolfSSL_read(ssl, &byte, 1);  // until the client's goodbye
    wolfSSL_free(ssl);
  }
}

static void handshakes(const char* mode, int port, double seconds) {
  WOLFSSL_CTX* context = context_of(0);
  const double began = seconds_now() + WARM_UP_SECONDS;
  unsigned long count = 0;
  double now = 0;
  do {
    const int fd = udp_socket(NULL);
    udp_connect(fd, port);
    WOLFSSL* ssl = session_on(context, fd, loopback(port), mode, 0);
    if (!ssl) die("handshake");
    wolfSSL_shutdown(ssl);
    wolfSSL_free(ssl);
    close(fd);
    now = seconds_now();
    if (now >= began && count++ == 0) say("started", 0);
  } while (now < began + seconds);
  say("result", (double)count / (now - began));
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  alarm(2 * LIFETIME_SECONDS);
  wolfSSL_Init();
  const char *role = argv[1], *mode = argv[2];
  if (strcmp(role, "serve") == 0) serve(mode);
  if (argc < 4) return 2;
  if (strcmp(role, "receive") == 0) receive(mode, atof(argv[3]));
  if (argc < 5) return 0;
  if (strcmp(role, "send") == 0) transmit(mode, atoi(argv[3]), atoi(argv[4]));
  if (strcmp(role, "handshakes") == 0) handshakes(mode, atoi(argv[3]), atof(argv[4]));
  return 0;
}
