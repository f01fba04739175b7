// dtls_stream.c: one DTLS 1.2 session on OpenSSL's own records, one way.
//
//   dtls_stream receive <none|mmsg|segment> <suite> <seconds>       prints port, then result:
//   messages/s dtls_stream send <none|mmsg|segment> <suite> <port> <bytes>     sends until it is
//   ended
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common.h"

static void handshake(SSL* ssl) {
  const double deadline = seconds_now() + 10;
  for (;;) {
    const int result = SSL_do_handshake(ssl);
    if (result == 1) return;
    if (SSL_get_error(ssl, result) != SSL_ERROR_WANT_READ || seconds_now() > deadline) {
      die("handshake");
    }
    DTLSv1_handle_timeout(ssl);
  }
}

// Blocking, but not forever: DTLS has timers to look after.
static void limit_waits(int fd) {
  const struct timeval wait = {.tv_usec = 200000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
}

static void receive(enum batching kind, const char* suite, double seconds) {
  int port;
  const int fd = udp_socket(&port);
  say("port", port);
  struct sockaddr_in peer;
  socklen_t length = sizeof peer;
  char first;
  if (recvfrom(fd, &first, 1, MSG_PEEK, (struct sockaddr*)&peer, &length) < 0) die("recvfrom");
  if (connect(fd, (struct sockaddr*)&peer, length) < 0) die("connect");
  limit_waits(fd);
  struct link link;
  link_open(&link, fd, kind);
  SSL* ssl = link_ssl(dtls_context(1, suite), &link, 1);
  handshake(ssl);

  static uint8_t message[16384];
  const double end_of_life = seconds_now() + LIFETIME_SECONDS;
  for (int done = 0; !done;) {
    if (SSL_read(ssl, message, sizeof message) > 0) {
      done = count_message(seconds);
    } else if (seconds_now() > end_of_life) {
      exit(1);
    }
  }
}

static void transmit(enum batching kind, const char* suite, int port, int bytes) {
  const int fd = udp_socket(NULL);
  udp_connect(fd, port);
  limit_waits(fd);
  struct link link;
  link_open(&link, fd, kind);
  SSL* ssl = link_ssl(dtls_context(0, suite), &link, 0);
  handshake(ssl);
  link.batching = 1;
  static uint8_t message[16384];
  memset(message, 'm', sizeof message);
  const double end = seconds_now() + LIFETIME_SECONDS;
  while (seconds_now() < end) {
    for (int i = 0; i < 1024; i++) {
      if (SSL_write(ssl, message, bytes) <= 0) die("SSL_write");
    }
  }
}

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  const enum batching kind = strcmp(argv[2], "segment") == 0 ? BATCH_SEGMENT
                             : strcmp(argv[2], "mmsg") == 0  ? BATCH_MMSG
                                                             : BATCH_NONE;
  alarm(2 * LIFETIME_SECONDS);
  if (strcmp(argv[1], "receive") == 0)
    receive(kind, argv[3], atof(argv[4]));
  else if (argc > 5)
    transmit(kind, argv[3], atoi(argv[4]), atoi(argv[5]));
  return 0;
}
