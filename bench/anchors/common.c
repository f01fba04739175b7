#include "common.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

void die(const char* what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  ERR_print_errors_fp(stderr);
  exit(1);
}

static unsigned psk_client(SSL* ssl, const char* hint, char* identity, unsigned identity_size,
                           unsigned char* key, unsigned key_size) {
  (void)ssl, (void)hint;
  if (identity_size < sizeof kIdentity || key_size < sizeof kKey) return 0;
  memcpy(identity, kIdentity, sizeof kIdentity);
  memcpy(key, kKey, sizeof kKey);
  return sizeof kKey;
}

static unsigned psk_server(SSL* ssl, const char* identity, unsigned char* key, unsigned key_size) {
  (void)ssl;
  if (strcmp(identity, kIdentity) != 0 || key_size < sizeof kKey) return 0;
  memcpy(key, kKey, sizeof kKey);
  return sizeof kKey;
}

SSL_CTX* dtls_context(int server, const char* suite) {
  SSL_CTX* context = SSL_CTX_new(server ? DTLS_server_method() : DTLS_client_method());
  if (!context) die("SSL_CTX_new");
  SSL_CTX_set_min_proto_version(context, DTLS1_2_VERSION);
  SSL_CTX_set_max_proto_version(context, DTLS1_2_VERSION);
  SSL_CTX_set_security_level(context, 0);
  if (!SSL_CTX_set_cipher_list(context, suite)) die("SSL_CTX_set_cipher_list");
  SSL_CTX_set_options(context, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_psk_client_callback(context, psk_client);
  SSL_CTX_set_psk_server_callback(context, psk_server);
  return context;
}

static long datagram_control(BIO* bio, int command, long number, void* pointer) {
  (void)bio, (void)number, (void)pointer;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static int datagram_create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

BIO_METHOD* datagram_method(int (*write)(BIO*, const char*, int), int (*read)(BIO*, char*, int)) {
  BIO_METHOD* method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "datagrams");
  if (!method) die("BIO_meth_new");
  BIO_meth_set_write(method, write);
  BIO_meth_set_read(method, read);
  BIO_meth_set_ctrl(method, datagram_control);
  BIO_meth_set_create(method, datagram_create);
  return method;
}

// ---- a link
// -----------------------------------------------------------------------------------------

void link_open(struct link* link, int fd, enum batching kind) {
  memset(link, 0, sizeof *link);
  link->fd = fd;
  link->kind = kind;
  link->tx_limit = kind == BATCH_SEGMENT ? MAX_SEGMENTS : MMSG_BATCH;
  link->tx = malloc(MAX_BATCH_BYTES);
  link->rx = malloc(MMSG_BATCH * MMSG_SLOT);
  if (!link->tx || !link->rx) die("malloc");
  const int on = 1;
  if (kind == BATCH_SEGMENT && setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on) < 0) {
    die("UDP_GRO (Linux 5.0 or later)");
  }
}

static ssize_t send_segments(struct link* link, size_t bytes) {
  struct iovec part = {link->tx, bytes};
  char control[CMSG_SPACE(sizeof(uint16_t))] = {0};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = IPPROTO_UDP;
  header->cmsg_type = UDP_SEGMENT;
  header->cmsg_len = CMSG_LEN(sizeof(uint16_t));
  const uint16_t size = (uint16_t)link->tx_record;
  memcpy(CMSG_DATA(header), &size, sizeof size);
  return sendmsg(link->fd, &message, 0);
}

static void flush_segments(struct link* link) {
  if (send_segments(link, link->tx_bytes) >= 0) return;
  if (errno != EINVAL || link->tx_limit <= 64) exit(0);  // the receiver has finished and is gone
  // An older kernel: 64 segments a call, once what is here has gone out in halves.
  link->tx_limit = 64;
  const size_t all = link->tx_bytes, first = link->tx_record * 64;
  if (send_segments(link, first < all ? first : all) < 0) die("UDP_SEGMENT");
}

static void flush_messages(struct link* link) {
  struct mmsghdr messages[MMSG_BATCH];
  struct iovec parts[MMSG_BATCH];
  memset(messages, 0, sizeof messages);
  for (size_t i = 0; i < link->tx_count; i++) {
    parts[i] = (struct iovec){link->tx + i * link->tx_record, link->tx_record};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  size_t sent = 0;
  while (sent < link->tx_count) {
    const int count = sendmmsg(link->fd, messages + sent, (unsigned)(link->tx_count - sent), 0);
    if (count < 0) exit(0);
    sent += (size_t)count;
  }
}

void link_flush(struct link* link) {
  if (link->tx_count == 0) return;
  if (link->kind == BATCH_SEGMENT)
    flush_segments(link);
  else
    flush_messages(link);
  link->tx_bytes = link->tx_count = 0;
}

static int link_write(BIO* bio, const char* data, int length) {
  struct link* link = BIO_get_data(bio);
  const size_t bytes = (size_t)length;
  if (!link->batching || link->kind == BATCH_NONE) {
    if (send(link->fd, data, bytes, 0) < 0 && link->batching) exit(0);
    return length;
  }
  if (link->tx_count > 0 && (bytes != link->tx_record || link->tx_count == link->tx_limit ||
                             link->tx_bytes + bytes > MAX_BATCH_BYTES)) {
    link_flush(link);
  }
  link->tx_record = bytes;
  memcpy(link->tx + link->tx_bytes, data, bytes);
  link->tx_bytes += bytes;
  link->tx_count += 1;
  return length;
}

static int receive_segments(struct link* link) {
  struct iovec part = {link->rx, MMSG_BATCH * MMSG_SLOT};
  char control[CMSG_SPACE(sizeof(int))];
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  const ssize_t bytes = recvmsg(link->fd, &message, 0);
  if (bytes <= 0) return 0;
  link->rx_at = 0;
  link->rx_end = link->rx_segment = (size_t)bytes;
  for (struct cmsghdr* each = CMSG_FIRSTHDR(&message); each; each = CMSG_NXTHDR(&message, each)) {
    if (each->cmsg_level != IPPROTO_UDP || each->cmsg_type != UDP_GRO) continue;
    int size;
    memcpy(&size, CMSG_DATA(each), sizeof size);
    link->rx_segment = (size_t)size;
  }
  return 1;
}

static int receive_messages(struct link* link) {
  struct mmsghdr messages[MMSG_BATCH];
  struct iovec parts[MMSG_BATCH];
  memset(messages, 0, sizeof messages);
  for (size_t i = 0; i < MMSG_BATCH; i++) {
    parts[i] = (struct iovec){link->rx + i * MMSG_SLOT, MMSG_SLOT};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const int count = recvmmsg(link->fd, messages, MMSG_BATCH, MSG_WAITFORONE, NULL);
  if (count <= 0) return 0;
  for (int i = 0; i < count; i++) link->rx_length[i] = messages[i].msg_len;
  link->rx_slot = 0;
  link->rx_slots = (size_t)count;
  return 1;
}

static int link_read(BIO* bio, char* buffer, int size) {
  struct link* link = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  const uint8_t* datagram = link->rx;
  size_t length = 0;
  if (link->kind == BATCH_SEGMENT) {
    if (link->rx_at < link->rx_end || receive_segments(link)) {
      const size_t rest = link->rx_end - link->rx_at;
      datagram = link->rx + link->rx_at;
      length = rest < link->rx_segment ? rest : link->rx_segment;
      link->rx_at += length;
    }
  } else if (link->kind == BATCH_MMSG) {
    if (link->rx_slot < link->rx_slots || receive_messages(link)) {
      datagram = link->rx + link->rx_slot * MMSG_SLOT;
      length = link->rx_length[link->rx_slot++];
    }
  } else {
    const ssize_t bytes = recv(link->fd, buffer, (size_t)size, 0);
    if (bytes > 0) return (int)bytes;
  }
  if (length == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  if (length > (size_t)size) length = (size_t)size;
  memcpy(buffer, datagram, length);
  return (int)length;
}

SSL* link_ssl(SSL_CTX* context, struct link* link, int server) {
  static BIO_METHOD* method;
  if (!method) method = datagram_method(link_write, link_read);
  SSL* ssl = SSL_new(context);
  BIO* bio = BIO_new(method);
  if (!ssl || !bio) die("SSL_new");
  BIO_set_data(bio, link);
  SSL_set_bio(ssl, bio, bio);
  DTLS_set_link_mtu(ssl, 1400);
  if (server)
    SSL_set_accept_state(ssl);
  else
    SSL_set_connect_state(ssl);
  return ssl;
}
