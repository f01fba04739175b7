// dtls_server.c: a DTLS 1.2 server on OpenSSL: stateless cookie, PSK, many peers on one socket,
// echo.
//
//   dtls_server <suite>       prints port, serves until it is ended
//
// Datagrams come and go in batches (recvmmsg, sendmmsg); sessions are found by the peer's port, as
// all peers are on 127.0.0.1.
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"

enum { PORTS = 65536 };

static int socket_fd;
static SSL_CTX* context;
static SSL* sessions[PORTS];
static SSL* listening;  // answers ClientHellos without a cookie; becomes the next session
static uint8_t secret[32];

// The datagram being looked at, and what goes out at the end of the batch.
static const uint8_t* incoming;
static size_t incoming_length;
static uint16_t incoming_port;
static struct mmsghdr out[MMSG_BATCH];
static struct iovec out_parts[MMSG_BATCH];
static struct sockaddr_in out_peers[MMSG_BATCH];
static uint8_t out_slots[MMSG_BATCH][MMSG_SLOT];
static unsigned out_count;

static void flush(void) {
  for (unsigned sent = 0; sent < out_count;) {
    const int more = sendmmsg(socket_fd, out + sent, out_count - sent, 0);
    sent += more > 0 ? (unsigned)more : 1;
  }
  out_count = 0;
}

static int write_datagram(BIO* bio, const char* data, int length) {
  (void)bio;
  if (length > MMSG_SLOT) return -1;
  if (out_count == MMSG_BATCH) flush();
  memcpy(out_slots[out_count], data, (size_t)length);
  out_peers[out_count] = loopback(incoming_port);
  out_parts[out_count] = (struct iovec){out_slots[out_count], (size_t)length};
  out[out_count].msg_hdr = (struct msghdr){.msg_name = &out_peers[out_count],
                                           .msg_namelen = sizeof out_peers[0],
                                           .msg_iov = &out_parts[out_count],
                                           .msg_iovlen = 1};
  out_count += 1;
  return length;
}

static int read_datagram(BIO* bio, char* buffer, int size) {
  BIO_clear_retry_flags(bio);
  if (incoming_length == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const size_t length = incoming_length < (size_t)size ? incoming_length : (size_t)size;
  memcpy(buffer, incoming, length);
  incoming_length = 0;
  return (int)length;
}

static int make_cookie(SSL* ssl, unsigned char* cookie, unsigned* length) {
  (void)ssl;
  uint8_t tag[EVP_MAX_MD_SIZE];
  unsigned tag_length;
  if (!HMAC(EVP_sha256(), secret, sizeof secret, (const uint8_t*)&incoming_port,
            sizeof incoming_port, tag, &tag_length)) {
    return 0;
  }
  memcpy(cookie, tag, *length = 16);
  return 1;
}

static int check_cookie(SSL* ssl, const unsigned char* cookie, unsigned length) {
  unsigned char expected[16];
  unsigned expected_length;
  return make_cookie(ssl, expected, &expected_length) && length == expected_length &&
         CRYPTO_memcmp(cookie, expected, length) == 0;
}

static SSL* new_session(void) {
  static BIO_METHOD* method;
  if (!method) method = datagram_method(write_datagram, read_datagram);
  SSL* ssl = SSL_new(context);
  BIO* bio = BIO_new(method);
  if (!ssl || !bio) die("SSL_new");
  SSL_set_bio(ssl, bio, bio);
  SSL_set_accept_state(ssl);
  DTLS_set_link_mtu(ssl, 1400);
  return ssl;
}

static void end_session(uint16_t port) {
  SSL_free(sessions[port]);
  sessions[port] = NULL;
}

static void serve(void) {
  static uint8_t message[16384];
  SSL* ssl = sessions[incoming_port];
  const int hello = incoming_length > 25 && incoming[0] == 22 && incoming[3] == 0 &&
                    incoming[4] == 0 && incoming[13] == 1;
  // message_seq 0: no cookie yet, so somebody new has that port.
  if (ssl && hello && incoming[17] == 0 && incoming[18] == 0) {
    end_session(incoming_port);
    ssl = NULL;
  }
  if (!ssl) {
    if (!hello) return;
    if (!listening) listening = new_session();
    static BIO_ADDR* ignored;
    if (!ignored) ignored = BIO_ADDR_new();
    const size_t length = incoming_length;
    if (DTLSv1_listen(listening, ignored) <= 0) return;
    incoming_length =
        length;  // it has only looked at the ClientHello: the handshake reads it again
    ssl = sessions[incoming_port] = listening;
    listening = NULL;
  }
  for (;;) {
    const int bytes = SSL_read(ssl, message, sizeof message);
    if (bytes > 0) {
      SSL_write(ssl, message, bytes);
      continue;
    }
    const int why = SSL_get_error(ssl, bytes);
    if (why == SSL_ERROR_ZERO_RETURN) SSL_shutdown(ssl);  // as RFC 5246 section 7.2.1 asks
    if (why != SSL_ERROR_WANT_READ) end_session(incoming_port);
    return;
  }
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  alarm(2 * LIFETIME_SECONDS);
  context = dtls_context(1, argv[1]);
  SSL_CTX_set_cookie_generate_cb(context, make_cookie);
  SSL_CTX_set_cookie_verify_cb(context, check_cookie);
  if (RAND_bytes(secret, sizeof secret) != 1) die("RAND_bytes");
  int port;
  socket_fd = udp_socket(&port);
  say("port", port);

  static struct mmsghdr messages[MMSG_BATCH];
  static struct iovec parts[MMSG_BATCH];
  static struct sockaddr_in peers[MMSG_BATCH];
  static uint8_t slots[MMSG_BATCH][MMSG_SLOT];
  for (;;) {
    for (int i = 0; i < MMSG_BATCH; i++) {
      parts[i] = (struct iovec){slots[i], MMSG_SLOT};
      messages[i].msg_hdr = (struct msghdr){.msg_name = &peers[i],
                                            .msg_namelen = sizeof peers[i],
                                            .msg_iov = &parts[i],
                                            .msg_iovlen = 1};
    }
    const int count = recvmmsg(socket_fd, messages, MMSG_BATCH, MSG_WAITFORONE, NULL);
    for (int i = 0; i < count; i++) {
      incoming = slots[i];
      incoming_length = messages[i].msg_len;
      incoming_port = ntohs(peers[i].sin_port);
      serve();
    }
    flush();
  }
}
