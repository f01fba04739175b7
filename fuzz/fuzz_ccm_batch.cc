// CcmBatch and EVP's CCM, given the same: the same bytes, and the same opinion of what is
// authentic.
#include <openssl/evp.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "record/ccm_batch.h"

using namespace mcbn;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

struct Message {
  Bytes nonce, additional, text, tag;
};

EVP_CIPHER_CTX* contextOf(const Bytes& key, const Message& message, size_t tag, bool opening) {
  EVP_CIPHER_CTX* const context = EVP_CIPHER_CTX_new();
  const EVP_CIPHER* const cipher = key.size() == 16 ? EVP_aes_128_ccm() : EVP_aes_256_ccm();
  const int length = static_cast<int>(message.text.size());
  int done = 0;
  void* const expected = opening ? const_cast<uint8_t*>(message.tag.data()) : nullptr;
  require(EVP_CipherInit_ex(context, cipher, nullptr, nullptr, nullptr, opening ? 0 : 1) == 1);
  require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN,
                              static_cast<int>(message.nonce.size()), nullptr) == 1);
  require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, static_cast<int>(tag), expected) ==
          1);
  require(EVP_CipherInit_ex(context, nullptr, nullptr, key.data(), message.nonce.data(), -1) == 1);
  require(EVP_CipherUpdate(context, nullptr, &done, nullptr, length) == 1);
  if (!message.additional.empty()) {
    require(EVP_CipherUpdate(context, nullptr, &done, message.additional.data(),
                             static_cast<int>(message.additional.size())) == 1);
  }
  return context;
}

// A byte of room where there is no text: EVP takes a null pointer for something else.
uint8_t* placeOf(Bytes& text) {
  static uint8_t nothing;
  return text.empty() ? &nothing : text.data();
}

void sealByEvp(const Bytes& key, Message& message, size_t tag) {
  EVP_CIPHER_CTX* const context = contextOf(key, message, tag, false);
  int done = 0;
  uint8_t* const text = placeOf(message.text);
  require(EVP_CipherUpdate(context, text, &done, text, static_cast<int>(message.text.size())) == 1);
  message.tag.resize(tag);
  require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, static_cast<int>(tag),
                              message.tag.data()) == 1);
  EVP_CIPHER_CTX_free(context);
}

bool openByEvp(const Bytes& key, Message& message, size_t tag) {
  EVP_CIPHER_CTX* const context = contextOf(key, message, tag, true);
  int done = 0;
  uint8_t* const text = placeOf(message.text);
  const bool opened =
      EVP_CipherUpdate(context, text, &done, text, static_cast<int>(message.text.size())) == 1;
  EVP_CIPHER_CTX_free(context);
  return opened;
}

std::vector<CcmMessage> viewsOf(std::vector<Message>& messages) {
  std::vector<CcmMessage> views;
  for (Message& message : messages) {
    views.push_back({message.nonce, message.additional, message.text, message.tag.data()});
  }
  return views;
}

// The input, piece by piece; zeros behind its end.
struct Input {
  uint8_t byte() { return at < size ? data[at++] : 0; }
  Bytes bytes(size_t count) {
    Bytes out(count);
    for (uint8_t& each : out) each = byte();
    return out;
  }
  const uint8_t* data;
  size_t size, at = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input{data, size};
  const uint8_t shape = input.byte();
  const size_t nonce = 7 + shape % 7, tag = 4 + shape / 7 % 7 * 2;
  const size_t count = 1 + input.byte() % 70, additional = input.byte() % 80;
  const Bytes key = input.bytes(shape & 0x80 ? 32 : 16);
  std::vector<Message> plain;
  for (size_t i = 0; i < count; ++i) {
    const size_t length = input.byte() * (input.byte() % 8 == 0 ? size_t{9} : size_t{1});
    plain.push_back({input.bytes(nonce), input.bytes(additional), input.bytes(length), Bytes(tag)});
  }
  const CipherContext aes = aesBlocks(key);
  require(aes != nullptr);
  CcmBatch ccm(aes.get(), nonce, tag);

  std::vector<Message> ours = plain, theirs = plain;
  auto views = viewsOf(ours);
  require(ccm.seal(views));
  for (size_t i = 0; i < count; ++i) {
    sealByEvp(key, theirs[i], tag);
    require(ours[i].text == theirs[i].text && ours[i].tag == theirs[i].tag);
  }
  // A bit of some of them.
  for (size_t i = 0; i < count; ++i) {
    const uint8_t where = input.byte();
    Bytes& place = where & 1 || ours[i].text.empty() ? ours[i].tag : ours[i].text;
    if (where & 2) place[where % place.size()] ^= static_cast<uint8_t>(1 << (where >> 5));
  }
  theirs = ours;
  views = viewsOf(ours);
  require(ccm.open(views));
  for (size_t i = 0; i < count; ++i) {
    require(views[i].authentic == openByEvp(key, theirs[i], tag));
    if (views[i].authentic) {
      require(ours[i].text == theirs[i].text && ours[i].text == plain[i].text);
    } else {
      for (const uint8_t byte : ours[i].text) require(byte == 0);
    }
  }
  return 0;
}
