#!/bin/bash
# wolfSSL 5.5.4 (Debian 12) offers X25519 and cannot use it where ECDHE goes with a pre-shared key.
#
# Setting    a TLS 1.2 client on libwolfssl 5.5.4; `openssl s_server` of OpenSSL 3.0 as the server, which is told one
#            group each time (X25519, P-256, P-384, P-521)
# Behaviour  the client lists X25519 in supported_groups. With ECDHE_PSK (RFC 5489) and a server that chooses it, the
#            client gives up with -352 "Bad ECC Peer Key"; the other three groups connect. With ECDHE_RSA the same
#            client and server connect over X25519, so the group itself works.
# Seen       ECDHE-PSK X25519: -352 Bad ECC Peer Key; P-256, P-384, P-521: connected; ECDHE-RSA X25519: connected
# Matters    a server that prefers X25519, as most do, cannot be reached by such clients; one that follows the
#            client's order can, since wolfSSL lists X25519 last.
#
# Needs Debian 12 with gcc, openssl, and a package mirror. Ends with 1 when any of this is no longer so.
set -euo pipefail

readonly VERSION=5.5.4-2+deb12u3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq "libwolfssl35=$VERSION" "libwolfssl-dev=$VERSION"
for package in ./*.deb; do dpkg -x "$package" root; done
lib=$work/root/usr/lib/$(gcc -print-multiarch)

cat >client.c <<'C'
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static unsigned int give_key(WOLFSSL *ssl, const char *hint, char *identity, unsigned int room,
                             unsigned char *key, unsigned int most) {
  (void)ssl, (void)hint, (void)most;
  snprintf(identity, room, "client");
  memset(key, 0x42, 16);
  return 16;
}

int main(int argc, char **argv) {
  if (argc != 3 || wolfSSL_Init() != SSL_SUCCESS) return 2;
  WOLFSSL_CTX *context = wolfSSL_CTX_new(wolfTLSv1_2_client_method());
  if (wolfSSL_CTX_set_cipher_list(context, argv[2]) != SSL_SUCCESS) return 2;
  wolfSSL_CTX_set_psk_client_callback(context, give_key);
  wolfSSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) return 2;
  WOLFSSL *ssl = wolfSSL_new(context);
  wolfSSL_set_fd(ssl, fd);
  if (wolfSSL_connect(ssl) == SSL_SUCCESS) return puts("connected"), 0;
  int error = wolfSSL_get_error(ssl, 0);
  char text[80];
  printf("%d %s\n", error, wolfSSL_ERR_error_string(error, text));
  return 0;
}
C
gcc -I root/usr/include client.c -L "$lib" -lwolfssl -Wl,-rpath,"$lib" -o client
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out cert.pem 2>/dev/null

status=0
# expect GROUP SUITE RESULT
expect() {
  local port=$((20000 + RANDOM % 20000)) server got
  # s_server ends with its standard input.
  sleep 5 | timeout 6 openssl s_server -accept "$port" -cert cert.pem -key key.pem -psk_identity client \
    -psk 42424242424242424242424242424242 -tls1_2 -cipher "$2" -groups "$1" >server.log 2>&1 &
  server=$!
  for _ in {1..50}; do grep -q ACCEPT server.log && break; sleep 0.1; done
  got=$(timeout 4 ./client "$port" "$2")
  echo "$1 $2: $got"
  [ "$got" = "$3" ] || { echo "  expected: $3"; status=1; }
  kill "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  rm -f server.log
}
openssl version
expect X25519 ECDHE-RSA-AES128-GCM-SHA256 connected
expect X25519 ECDHE-PSK-CHACHA20-POLY1305 '-352 Bad ECC Peer Key'
for group in P-256 P-384 P-521; do expect "$group" ECDHE-PSK-CHACHA20-POLY1305 connected; done
exit $status
