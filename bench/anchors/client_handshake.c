#include "client_handshake.h"

#include <openssl/rand.h>
#include <string.h>

#include "common.h"

enum { RANDOM = 32, MASTER = 48, HASH = 32, BLOCK = 64, VERIFY = 12, MESSAGE_HEADER = 12 };
enum { CHANGE_CIPHER_SPEC = 20, ALERT = 21, HANDSHAKE = 22 };
enum {
  CLIENT_HELLO = 1,
  SERVER_HELLO = 2,
  HELLO_VERIFY = 3,
  HELLO_DONE = 14,
  KEY_EXCHANGE = 16,
  FINISHED = 20
};
enum { EXTENDED_MASTER_SECRET = 0x17 };

static uint8_t hello[FLIGHT_BYTES];  // one record: its header, the message's, the message
static size_t hello_length;
static const SSL_CIPHER* suite;
static EVP_MD* sha256;
static EVP_MD_CTX* hashing;  // of one HMAC at a time

static void put(uint8_t* out, uint64_t value, int bytes) {
  while (bytes-- > 0) *out++ = (uint8_t)(value >> (8 * bytes));
}

static uint32_t get(const uint8_t* in, int bytes) {
  uint32_t value = 0;
  while (bytes-- > 0) value = value << 8 | *in++;
  return value;
}

// ---- keys ---------------------------------------------------------------------------------------

struct part {
  const void* bytes;
  size_t length;
};

static void hash_of(const uint8_t* pad, const struct part* parts, int count, uint8_t* out) {
  EVP_DigestInit_ex2(hashing, sha256, NULL);
  EVP_DigestUpdate(hashing, pad, BLOCK);
  for (int i = 0; i < count; i++) EVP_DigestUpdate(hashing, parts[i].bytes, parts[i].length);
  EVP_DigestFinal_ex(hashing, out, NULL);
}

// RFC 2104, with a key of at most one block.
static void hmac(const uint8_t* key, size_t key_length, const struct part* parts, int count,
                 uint8_t* out) {
  uint8_t inner[BLOCK] = {0}, outer[BLOCK], made[HASH];
  memcpy(inner, key, key_length);
  for (int i = 0; i < BLOCK; i++) {
    outer[i] = inner[i] ^ 0x5c;
    inner[i] ^= 0x36;
  }
  hash_of(inner, parts, count, made);
  hash_of(outer, &(struct part){made, HASH}, 1, out);
}

// RFC 5246 section 5.
static void prf(const uint8_t* secret, size_t secret_length, const char* label, struct part first,
                struct part second, uint8_t* out, size_t length) {
  uint8_t a[HASH], block[HASH];
  struct part parts[] = {{a, HASH}, {label, strlen(label)}, first, second};
  hmac(secret, secret_length, parts + 1, 3, a);
  for (;;) {
    hmac(secret, secret_length, parts, 4, block);
    const size_t taken = length < HASH ? length : HASH;
    memcpy(out, block, taken);
    out += taken;
    length -= taken;
    if (length == 0) return;
    hmac(secret, secret_length, parts, 1, a);
  }
}

static void transcript_hash(const struct client_handshake* handshake, uint8_t* out) {
  EVP_MD_CTX_copy_ex(hashing, handshake->transcript);
  EVP_DigestFinal_ex(hashing, out, NULL);
}

// ---- what is sent -------------------------------------------------------------------------------

static uint8_t* record_header(struct client_handshake* handshake, uint8_t* out, int type,
                              size_t length) {
  out[0] = (uint8_t)type;
  put(out + 1, 0xfefd, 2);
  put(out + 3, handshake->next_record++, 8);
  put(out + 11, length, 2);
  return out + RECORD_HEADER;
}

static void message_header(uint8_t* out, int type, int number, size_t length) {
  out[0] = (uint8_t)type;
  put(out + 1, length, 3);
  put(out + 4, (uint64_t)number, 2);
  put(out + 6, 0, 3);
  put(out + 9, length, 3);
}

static int hello_bio_write(BIO* bio, const char* data, int length) {
  (void)bio;
  if (length > FLIGHT_BYTES) return -1;
  memcpy(hello, data, hello_length = (size_t)length);
  return length;
}

static int hello_bio_read(BIO* bio, char* buffer, int size) {
  (void)buffer, (void)size;
  BIO_set_retry_read(bio);
  return -1;
}

void client_handshake_prepare(SSL_CTX* context) {
  const STACK_OF(SSL_CIPHER)* const suites = SSL_CTX_get_ciphers(context);  // of TLS 1.3 as well
  for (int i = 0; !suite && i < sk_SSL_CIPHER_num(suites); i++) {
    const SSL_CIPHER* const each = sk_SSL_CIPHER_value(suites, i);
    if (SSL_CIPHER_get_kx_nid(each) == NID_kx_psk) suite = each;
  }
  if (!suite) die("a suite that is no plain PSK");
  sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
  hashing = EVP_MD_CTX_new();
  SSL* const ssl = SSL_new(context);
  BIO* const bio = BIO_new(datagram_method(hello_bio_write, hello_bio_read));
  if (!sha256 || !hashing || !ssl || !bio) die("SSL_new");
  SSL_set_bio(ssl, bio, bio);
  SSL_set_connect_state(ssl);
  DTLS_set_link_mtu(ssl, FLIGHT_BYTES);
  SSL_do_handshake(ssl);
  SSL_free(ssl);
  // Version and random; then an empty session ID, and no cookie yet.
  const uint8_t* const after = hello + RECORD_HEADER + MESSAGE_HEADER + 2 + RANDOM;
  if (hello_length < 80 || after[0] != 0 || after[1] != 0) die("the ClientHello");
}

static void write_hello(struct client_handshake* handshake, int number, const uint8_t* cookie,
                        size_t cookie_length) {
  const size_t before = 2 + RANDOM + 1;  // of the cookie's length
  const size_t length = hello_length - RECORD_HEADER - MESSAGE_HEADER + cookie_length;
  if (hello_length + cookie_length > FLIGHT_BYTES) die("the cookie");
  uint8_t* const message =
      record_header(handshake, handshake->flight, HANDSHAKE, MESSAGE_HEADER + length);
  message_header(message, CLIENT_HELLO, number, length);
  uint8_t* out = message + MESSAGE_HEADER;
  const uint8_t* const in = hello + RECORD_HEADER + MESSAGE_HEADER;
  memcpy(out, in, before);
  memcpy(out + 2, handshake->client_random, RANDOM);
  out[before] = (uint8_t)cookie_length;
  memcpy(out + before + 1, cookie, cookie_length);
  memcpy(out + before + 1 + cookie_length, in + before + 1, length - cookie_length - before - 1);
  handshake->flight_length = RECORD_HEADER + MESSAGE_HEADER + length;
  // RFC 6347 section 4.2.1: the hello without a cookie is not part of it.
  EVP_DigestInit_ex2(handshake->transcript, sha256, NULL);
  EVP_DigestUpdate(handshake->transcript, message, MESSAGE_HEADER + length);
}

void client_handshake_begin(struct client_handshake* handshake) {
  handshake->transcript = EVP_MD_CTX_new();
  if (!handshake->transcript || RAND_bytes(handshake->client_random, RANDOM) != 1)
    die("RAND_bytes");
  handshake->next_record = 0;
  handshake->answered = 0;
  write_hello(handshake, 0, NULL, 0);
}

// RFC 4279 section 2, RFC 7627 section 4: the keys from here on.
static void derive(struct client_handshake* handshake, uint8_t* master) {
  uint8_t premaster[4 + 2 * sizeof kKey] = {0}, hash[HASH];
  put(premaster, sizeof kKey, 2);
  put(premaster + 2 + sizeof kKey, sizeof kKey, 2);
  memcpy(premaster + 4 + sizeof kKey, kKey, sizeof kKey);
  transcript_hash(handshake, hash);
  prf(premaster, sizeof premaster, "extended master secret", (struct part){hash, HASH},
      (struct part){NULL, 0}, master, MASTER);
  uint8_t keys[KEY_BLOCK_BYTES];
  prf(master, MASTER, "key expansion", (struct part){handshake->server_random, RANDOM},
      (struct part){handshake->client_random, RANDOM}, keys, sizeof keys);
  client_records_begin(&handshake->records, suite, keys);
}

static void write_answer(struct client_handshake* handshake) {
  const size_t identity = sizeof kIdentity - 1;
  uint8_t* out = handshake->flight;
  uint8_t* message = record_header(handshake, out, HANDSHAKE, MESSAGE_HEADER + 2 + identity);
  message_header(message, KEY_EXCHANGE, 2, 2 + identity);
  put(message + MESSAGE_HEADER, identity, 2);
  memcpy(message + MESSAGE_HEADER + 2, kIdentity, identity);
  EVP_DigestUpdate(handshake->transcript, message, MESSAGE_HEADER + 2 + identity);
  out = record_header(handshake, message + MESSAGE_HEADER + 2 + identity, CHANGE_CIPHER_SPEC, 1);
  *out++ = 1;

  uint8_t master[MASTER], hash[HASH], finished[MESSAGE_HEADER + VERIFY];
  derive(handshake, master);
  transcript_hash(handshake, hash);
  message_header(finished, FINISHED, 3, VERIFY);
  prf(master, MASTER, "client finished", (struct part){hash, HASH}, (struct part){NULL, 0},
      finished + MESSAGE_HEADER, VERIFY);
  out += client_records_seal_as(&handshake->records, HANDSHAKE, finished, sizeof finished, out);
  handshake->flight_length = (size_t)(out - handshake->flight);
}

// ---- what is received ---------------------------------------------------------------------------

static void take_server_hello(struct client_handshake* handshake, const uint8_t* body,
                              size_t length) {
  const size_t fixed = 2 + RANDOM + 1;
  if (length < fixed || length < fixed + body[fixed - 1] + 5) die("the ServerHello");
  memcpy(handshake->server_random, body + 2, RANDOM);
  const uint8_t* in = body + fixed + body[fixed - 1];
  if (get(in, 2) != SSL_CIPHER_get_protocol_id(suite)) die("the server's suite");
  const uint8_t* const end = body + length;
  for (in += 5; in + 4 <= end; in += 4 + get(in + 2, 2)) {
    if (get(in, 2) == EXTENDED_MASTER_SECRET) return;
  }
  die("a server without the extended master secret");
}

static enum client_progress take_message(struct client_handshake* handshake, const uint8_t* message,
                                         size_t length) {
  if (length < MESSAGE_HEADER || get(message + 1, 3) != length - MESSAGE_HEADER) die("a fragment");
  const uint8_t* const body = message + MESSAGE_HEADER;
  if (message[0] == HELLO_VERIFY) {
    if (handshake->next_record != 1) return CLIENT_WAITS;  // repeated
    if (length < MESSAGE_HEADER + 3u || length < MESSAGE_HEADER + 3u + body[2]) die("the cookie");
    write_hello(handshake, 1, body + 3, body[2]);
    return CLIENT_ANSWERS;
  }
  if (handshake->answered || handshake->next_record < 2) return CLIENT_WAITS;  // repeated
  EVP_DigestUpdate(handshake->transcript, message, length);
  if (message[0] == SERVER_HELLO) take_server_hello(handshake, body, length - MESSAGE_HEADER);
  if (message[0] != HELLO_DONE) return CLIENT_WAITS;
  handshake->answered = 1;
  write_answer(handshake);
  return CLIENT_ANSWERS;
}

enum client_progress client_handshake_take(struct client_handshake* handshake, uint8_t* datagram,
                                           size_t length) {
  enum client_progress progress = CLIENT_WAITS;
  while (length >= RECORD_HEADER) {
    const size_t record = RECORD_HEADER + get(datagram + 11, 2);
    if (record > length) die("a record");
    if (datagram[0] == HANDSHAKE && get(datagram + 3, 2) == 0) {
      const enum client_progress made =
          take_message(handshake, datagram + RECORD_HEADER, record - RECORD_HEADER);
      if (made != CLIENT_WAITS) progress = made;
    } else if (datagram[0] == HANDSHAKE && handshake->answered) {
      if (client_records_open_as(&handshake->records, HANDSHAKE, datagram, record) !=
          MESSAGE_HEADER + VERIFY) {
        die("the server's Finished");
      }
      return CLIENT_DONE;
    }
    datagram += record;
    length -= record;
  }
  return progress;
}

void client_handshake_close(struct client_handshake* handshake) {
  static const uint8_t close_notify[] = {1, 0};
  handshake->flight_length = client_records_seal_as(&handshake->records, ALERT, close_notify,
                                                    sizeof close_notify, handshake->flight);
}

void client_handshake_free(struct client_handshake* handshake) {
  EVP_MD_CTX_free(handshake->transcript);
  handshake->transcript = NULL;
}
