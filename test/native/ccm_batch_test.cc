// CcmBatch against EVP's CCM, which takes one message after the other: the same bytes, whatever the
// batch; and what is not authentic is not there.
//
// MCBN_EVERY_LENGTH=1 tries every length from 0 to 16,384, for up to twenty minutes; otherwise every
// 97th beyond 600.
#include "record/ccm_batch.h"

#include <doctest/doctest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "ccm_vectors.h"
#include "record/connection_id.h"
#include "wire.h"

using namespace mcbn;
using wire::fromHex;
using wire::Noise;

namespace {

using Context = CipherContext;

Context aesOf(const Bytes& key) { return aesBlocks(key); }

// One message with all that belongs to it.
struct Plain {
  Bytes nonce, additional, text;
};

// Ciphertext and tag by EVP_aes_128_ccm or EVP_aes_256_ccm.
Bytes byEvp(const Bytes& key, const Plain& message, size_t tag) {
  const Context context(EVP_CIPHER_CTX_new());
  const EVP_CIPHER* const cipher = key.size() == 16 ? EVP_aes_128_ccm() : EVP_aes_256_ccm();
  EVP_CIPHER_CTX* const c = context.get();
  Bytes out(message.text.size() + tag);
  int done = 0;
  bool ok =
      EVP_EncryptInit_ex(c, cipher, nullptr, nullptr, nullptr) == 1 &&
      EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_IVLEN, static_cast<int>(message.nonce.size()),
                          nullptr) == 1 &&
      EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, static_cast<int>(tag), nullptr) == 1 &&
      EVP_EncryptInit_ex(c, nullptr, nullptr, key.data(), message.nonce.data()) == 1 &&
      EVP_EncryptUpdate(c, nullptr, &done, nullptr, static_cast<int>(message.text.size())) == 1;
  if (!message.additional.empty()) {
    ok = ok && EVP_EncryptUpdate(c, nullptr, &done, message.additional.data(),
                                 static_cast<int>(message.additional.size())) == 1;
  }
  const uint8_t nothing = 0;
  const uint8_t* const text = message.text.empty() ? &nothing : message.text.data();
  ok = ok &&
       EVP_EncryptUpdate(c, out.data(), &done, text, static_cast<int>(message.text.size())) == 1 &&
       EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, static_cast<int>(tag),
                           out.data() + message.text.size()) == 1;
  REQUIRE(ok);
  return out;
}

// Texts with room for a tag behind each, and views of them.
struct Batch {
  Batch(const std::vector<Plain>& messages, size_t tag,
        const std::vector<Bytes>* sealed = nullptr) {
    for (size_t i = 0; i < messages.size(); ++i) {
      places.push_back(sealed ? (*sealed)[i] : messages[i].text);
      places.back().resize(messages[i].text.size() + tag);
    }
    for (size_t i = 0; i < messages.size(); ++i) {
      const size_t length = messages[i].text.size();
      views.push_back({messages[i].nonce, messages[i].additional,
                       MutableBytes(places[i]).first(length), places[i].data() + length});
    }
  }

  std::vector<Bytes> places;
  std::vector<CcmMessage> views;
};

// RFC 5246 section 6.2.3.3, or RFC 9146 section 5.3 with an ID.
Bytes additionalOf(uint64_t number, size_t length, const Bytes& id) {
  if (!id.empty()) {
    const CidAdditionalData data(number, id, length);
    return Bytes(data.view().begin(), data.view().end());
  }
  Bytes out;
  Writer(out).u32(number >> 32).u32(number & 0xffffffff).u8(content_type::kApplicationData);
  Writer(out).u16(kDtls12).u16(length);
  return out;
}

std::vector<Plain> records(Noise& noise, size_t count, size_t length, bool equal, const Bytes& id) {
  std::vector<Plain> out;
  for (size_t i = 0; i < count; ++i) {
    const size_t own = equal || i == 0 ? length : noise.below(length + 1);
    out.push_back(
        {noise.bytes(12), additionalOf(noise.below(SIZE_MAX), own, id), noise.bytes(own)});
  }
  return out;
}

bool allZero(ByteView bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

// Damages some of the sealed messages; which of them.
std::vector<bool> damage(Noise& noise, std::vector<Plain>& messages, std::vector<Bytes>& sealed) {
  std::vector<bool> damaged;
  for (size_t i = 0; i < sealed.size(); ++i) {
    const size_t how = noise.below(8);
    const auto bit = static_cast<uint8_t>(1 << noise.below(8));
    if (how == 0) sealed[i][noise.below(sealed[i].size())] ^= bit;  // text or tag
    if (how == 1) sealed[i].back() ^= bit;
    if (how == 2) messages[i].nonce[noise.below(12)] ^= bit;
    if (how == 3) messages[i].additional[noise.below(messages[i].additional.size())] ^= bit;
    damaged.push_back(how < 4);
  }
  return damaged;
}

// Sealed as EVP seals; opened except for what was damaged, which is wiped.
bool agrees(Noise& noise, const Bytes& key, std::vector<Plain> messages, size_t tag) {
  const Context aes = aesOf(key);
  CcmBatch ccm(aes.get(), 12, tag);
  Batch sealing(messages, tag);
  if (!ccm.seal(sealing.views)) return false;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (sealing.places[i] != byEvp(key, messages[i], tag)) return false;
  }
  const auto damaged = damage(noise, messages, sealing.places);
  Batch opening(messages, tag, &sealing.places);
  if (!ccm.open(opening.views)) return false;
  for (size_t i = 0; i < messages.size(); ++i) {
    const CcmMessage& view = opening.views[i];
    if (view.authentic == damaged[i]) return false;
    const bool right =
        damaged[i] ? allZero(view.text) : std::ranges::equal(view.text, messages[i].text);
    if (!right) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("CCM batch: what is not authentic is wiped, and its neighbours are not harmed") {
  Noise noise(1);
  const Bytes key = noise.bytes(16);
  const Context aes = aesOf(key);
  CcmBatch ccm(aes.get(), 12, 8);
  for (const size_t wrong : {0, 31, 32, 63, 99}) {
    const auto messages = records(noise, 100, 200, false, {});
    Batch batch(messages, 8);
    REQUIRE(ccm.seal(batch.views));
    batch.views[wrong].tag[7] ^= 1;
    REQUIRE(ccm.open(batch.views));
    for (size_t i = 0; i < messages.size(); ++i) {
      REQUIRE(batch.views[i].authentic == (i != wrong));
      REQUIRE((i == wrong ? allZero(batch.views[i].text)
                          : std::ranges::equal(batch.views[i].text, messages[i].text)));
    }
  }
}

TEST_CASE("CCM batch: a flag that was left up opens nothing") {
  Noise noise(2);
  const Context aes = aesOf(noise.bytes(32));
  CcmBatch ccm(aes.get(), 12, 16);
  const auto messages = records(noise, 3, 40, true, {});
  Batch batch(messages, 16);
  for (CcmMessage& view : batch.views) view.authentic = true;
  REQUIRE(ccm.open(batch.views));
  for (const CcmMessage& view : batch.views) CHECK(!view.authentic);
}

TEST_CASE("CCM batch: refuses what CCM does not have, and then leaves no text behind") {
  Noise noise(3);
  const Bytes key = noise.bytes(16);
  CHECK(!aesOf(noise.bytes(24)));
  CHECK(!aesOf(noise.bytes(0)));
  const Context aes = aesOf(key);
  const auto refuses = [&](size_t nonce, size_t tag, std::vector<Plain> messages) {
    for (const bool opening : {false, true}) {
      CcmBatch ccm(aes.get(), nonce, tag);
      Batch batch(messages, 16);
      CHECK(!(opening ? ccm.open(batch.views) : ccm.seal(batch.views)));
      for (const CcmMessage& view : batch.views) {
        CHECK(!view.authentic);
        CHECK(allZero(view.text));
      }
    }
  };
  const auto messages = records(noise, 2, 40, true, {});
  refuses(6, 8, messages);
  refuses(14, 8, messages);
  refuses(13, 8, messages);  // their nonces have 12
  refuses(12, 2, messages);
  refuses(12, 9, messages);
  refuses(12, 18, messages);
  auto unequal = messages;
  unequal[1].additional.push_back(0);
  refuses(12, 8, unequal);
  refuses(12, 8, {{noise.bytes(12), noise.bytes(0xff00), noise.bytes(1)}});
  refuses(12, 8, {{noise.bytes(12), {}, noise.bytes(CcmBatch::kLongest + 1)}});
  CcmBatch ccm(aes.get(), 12, 8);
  CHECK(ccm.seal({}));
  CHECK(ccm.open({}));
}

TEST_CASE("CCM batch: the published vectors, alone and as a batch") {
  for (const CcmVector& vector : kCcmVectors) {
    CAPTURE(vector.document);
    const Bytes key = fromHex(vector.key);
    const std::vector<Plain> one = {
        {fromHex(vector.nonce), fromHex(vector.additional), fromHex(vector.text)}};
    const Context aes = aesOf(key);
    CcmBatch ccm(aes.get(), one[0].nonce.size(), vector.tag);
    for (const size_t copies : {1, 3, 40}) {
      const std::vector<Plain> messages(copies, one[0]);
      Batch batch(messages, vector.tag);
      REQUIRE(ccm.seal(batch.views));
      for (const Bytes& sealed : batch.places) REQUIRE(sealed == fromHex(vector.sealed));
      REQUIRE(ccm.open(batch.views));
      for (const CcmMessage& view : batch.views) {
        REQUIRE(view.authentic);
        REQUIRE(std::ranges::equal(view.text, messages[0].text));
      }
    }
  }
}

TEST_CASE("CCM batch: additional data of every length around a block, and none") {
  Noise noise(4);
  const Bytes key = noise.bytes(16);
  for (size_t length = 0; length < 70; ++length) {
    std::vector<Plain> messages;
    for (size_t i = 0; i < 5; ++i) {
      messages.push_back({noise.bytes(12), noise.bytes(length), noise.bytes(noise.below(50))});
    }
    const Context aes = aesOf(key);
    CcmBatch ccm(aes.get(), 12, 16);
    Batch batch(messages, 16);
    REQUIRE(ccm.seal(batch.views));
    for (size_t i = 0; i < messages.size(); ++i) {
      REQUIRE(batch.places[i] == byEvp(key, messages[i], 16));
    }
  }
}

TEST_CASE("CCM batch: EVP's bytes for every length and width, with and without connection IDs") {
  const size_t stride = std::getenv("MCBN_EVERY_LENGTH") ? 1 : 97;
  for (const size_t key_bytes : {16, 32}) {
    for (const size_t id_bytes : {0, 1, 8, 32}) {
      CAPTURE(key_bytes);
      CAPTURE(id_bytes);
      Noise noise(static_cast<uint32_t>(100 + key_bytes + id_bytes));
      const Bytes key = noise.bytes(key_bytes), id = noise.bytes(id_bytes);
      size_t width = 0;
      for (size_t length = 0; length <= 16'384; length += length < 600 ? 1 : stride) {
        CAPTURE(length);
        width = width % 128 + 1;  // 128 is no divisor of the lengths' step: all meet all
        // Of a long one a few will do, unless there is time.
        const size_t count = stride > 1 && length > 600 ? 1 + width % 5 : width;
        const bool equal = noise.below(2) == 0;
        REQUIRE(agrees(noise, key, records(noise, count, length, equal, id),
                       noise.below(2) == 0 ? 8 : 16));
      }
    }
  }
}
