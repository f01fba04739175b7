#include "client_records.h"

#include <string.h>

#include "common.h"

enum { KEY = 16, FIXED = 4, EXPLICIT = 8, APPLICATION_DATA = 23 };

static EVP_CIPHER_CTX* direction(const EVP_CIPHER* cipher, size_t tag, const uint8_t* key,
                                 uint8_t* iv, int sealing) {
  EVP_CIPHER_CTX* const context = EVP_CIPHER_CTX_new();
  const int gcm = EVP_CIPHER_get_mode(cipher) == EVP_CIPH_GCM_MODE;
  int made = context && EVP_CipherInit_ex(context, cipher, NULL, NULL, NULL, sealing) == 1;
  if (gcm) {
    made = made && EVP_CipherInit_ex(context, NULL, NULL, key, NULL, sealing) == 1;
    made = made && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_IV_FIXED, FIXED, iv) > 0;
  } else {
    const int set = (int)tag;
    made =
        made && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, FIXED + EXPLICIT, NULL) > 0;
    made = made && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, set, NULL) > 0;
    made = made && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_CCM_SET_IV_FIXED, FIXED, iv) > 0;
    made = made && EVP_CipherInit_ex(context, NULL, NULL, key, NULL, sealing) == 1;
  }
  if (!made) die("a cipher");
  return context;
}

void client_records_begin(struct client_records* records, const SSL_CIPHER* suite,
                          uint8_t* key_block) {
  const int nid = SSL_CIPHER_get_cipher_nid(suite);
  const char* const name = SSL_CIPHER_get_name(suite);
  if (nid != NID_aes_128_ccm && nid != NID_aes_128_gcm)
    die("a suite that this program does not know");
  const EVP_CIPHER* const cipher = nid == NID_aes_128_ccm ? EVP_aes_128_ccm() : EVP_aes_128_gcm();
  records->tag = strstr(name, "CCM8") ? 8 : 16;
  records->seal = direction(cipher, records->tag, key_block, key_block + 2 * KEY, 1);
  records->open = direction(cipher, records->tag, key_block + KEY, key_block + 2 * KEY + FIXED, 0);
  records->next = 0;
}

void client_records_end(struct client_records* records) {
  EVP_CIPHER_CTX_free(records->seal);
  EVP_CIPHER_CTX_free(records->open);
  records->seal = records->open = NULL;
}

// RFC 5246 section 6.2.3.3: number with epoch, type, version, length of the content.
static void additional_data(EVP_CIPHER_CTX* context, const uint8_t* header, size_t length) {
  uint8_t data[EVP_AEAD_TLS1_AAD_LEN];
  memcpy(data, header + 3, 8);
  memcpy(data + 8, header, 3);
  data[11] = (uint8_t)(length >> 8);
  data[12] = (uint8_t)length;
  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_TLS1_AAD, sizeof data, data);
}

size_t client_records_seal_as(struct client_records* records, int type, const uint8_t* message,
                              size_t length, uint8_t* out) {
  const size_t fragment = EXPLICIT + length + records->tag;
  const uint8_t header[] = {(uint8_t)type, 0xfe, 0xfd, 0, 1};
  memcpy(out, header, sizeof header);
  for (int i = 0; i < 6; i++) out[5 + i] = (uint8_t)(records->next >> (8 * (5 - i)));
  records->next += 1;
  out[11] = (uint8_t)(fragment >> 8);
  out[12] = (uint8_t)fragment;
  memcpy(out + RECORD_HEADER, out + 3, EXPLICIT);
  memcpy(out + RECORD_HEADER + EXPLICIT, message, length);
  additional_data(records->seal, out, EXPLICIT + length);
  if (EVP_Cipher(records->seal, out + RECORD_HEADER, out + RECORD_HEADER, (unsigned)fragment) <=
      0) {
    die("sealing");
  }
  return RECORD_HEADER + fragment;
}

size_t client_records_open_as(struct client_records* records, int type, uint8_t* datagram,
                              size_t length) {
  const size_t around = EXPLICIT + records->tag;
  if (length < RECORD_HEADER + around || datagram[0] != type || datagram[4] != 1) return 0;
  const size_t fragment = length - RECORD_HEADER;
  additional_data(records->open, datagram, fragment);
  uint8_t* const at = datagram + RECORD_HEADER;
  return EVP_Cipher(records->open, at, at, (unsigned)fragment) >= 0 ? fragment - around : 0;
}

size_t client_records_seal(struct client_records* records, const uint8_t* message, size_t length,
                           uint8_t* out) {
  return client_records_seal_as(records, APPLICATION_DATA, message, length, out);
}

size_t client_records_open(struct client_records* records, uint8_t* datagram, size_t length) {
  return client_records_open_as(records, APPLICATION_DATA, datagram, length);
}
