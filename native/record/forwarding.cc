#include "record/forwarding.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <string_view>

#include "base/address_bytes.h"
#include "record/ciphers.h"
#include "record/hash.h"

namespace mcbn {
namespace {

using namespace forwarding;

constexpr size_t kNumberBytes = 6;
constexpr size_t kSenderOffset = 1 + 1 + 1 + 4 + 4, kFromOffset = 1 + 1 + 1 + 4;
constexpr size_t kNumberOffset = kSenderOffset + kSenderBytes;
constexpr uint64_t kMostNumber = (uint64_t{1} << 48) - 1;
constexpr std::string_view kLabel = "mcbn fleet 1";

std::array<uint8_t, kNonceBytes> nonceOf(uint64_t number) {
  std::array<uint8_t, kNonceBytes> nonce{};
  putBigEndian(nonce.data() + kNonceBytes - kNumberBytes, number, kNumberBytes);
  return nonce;
}

// The first block of HKDF-Expand (RFC 5869 section 2.3) is all that a key needs. `name`: from, sender.
CipherContext cipherOf(ByteView key, ByteView name, bool encrypt) {
  std::array<uint8_t, kLabel.size() + 4 + kSenderBytes + 1> info;
  uint8_t* end = std::copy(kLabel.begin(), kLabel.end(), info.begin());
  end = std::copy(name.begin(), name.end(), end);
  *end = 1;
  const Secret derived = hmacOf(Hash::Sha256, key, {ByteView(info.data(), ++end)});
  CipherContext cipher(EVP_CIPHER_CTX_new());
  const bool done = cipher && !derived.empty() &&
                    EVP_CipherInit_ex(cipher.get(), aeadCipher(AeadKind::Gcm, 32), nullptr,
                                      derived.data(), nullptr, encrypt ? 1 : 0) == 1;
  return done ? std::move(cipher) : nullptr;
}

bool begin(EVP_CIPHER_CTX* cipher, uint64_t number, ByteView header) {
  int done = 0;
  return EVP_CipherInit_ex(cipher, nullptr, nullptr, nullptr, nonceOf(number).data(), -1) == 1 &&
         EVP_CipherUpdate(cipher, nullptr, &done, header.data(), static_cast<int>(header.size())) ==
             1;
}

bool decrypt(EVP_CIPHER_CTX* cipher, uint64_t number, ByteView header, MutableBytes text,
             MutableBytes tag) {
  int done = 0, rest = 0;
  return EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, static_cast<int>(tag.size()),
                             tag.data()) == 1 &&
         begin(cipher, number, header) &&
         EVP_CipherUpdate(cipher, text.data(), &done, text.data(), static_cast<int>(text.size())) ==
             1 &&
         EVP_CipherFinal_ex(cipher, text.data() + done, &rest) == 1;
}

}  // namespace

ForwardSealer::ForwardSealer(ByteView key, uint32_t node) : node_(node) {
  MCBN_ASSERT(key.size() == kKeyBytes);
  if (RAND_bytes(sender_.data(), static_cast<int>(sender_.size())) != 1) return;
  std::array<uint8_t, 4 + kSenderBytes> name;
  std::copy(sender_.begin(), sender_.end(), putBigEndian(name.data(), node, 4));
  cipher_ = cipherOf(key, name, true);
}

size_t ForwardSealer::seal(const ForwardHeader& header, ByteView address, ByteView content,
                           uint64_t wall_seconds, Bytes& out) {
  MCBN_ASSERT(address.size() <= kMaxAddressBytes);
  if (!cipher_ || number_ == kMostNumber) return 0;
  number_ += 1;
  const size_t before = out.size(), length = kOverhead + address.size() + content.size();
  out.resize(before + length);
  uint8_t* const start = out.data() + before;
  start[0] = kFormat;
  start[kThreadOffset] = header.thread;
  start[2] = static_cast<uint8_t>(header.kind);
  putBigEndian(start + 3, header.to, 4);
  putBigEndian(start + kFromOffset, node_, 4);
  std::copy(sender_.begin(), sender_.end(), start + kSenderOffset);
  uint8_t* const text = putBigEndian(start + kNumberOffset, number_, kNumberBytes);
  uint8_t* end = putBigEndian(text, wall_seconds, kTimeBytes);
  end = putBigEndian(end, address.size(), 1);
  end = std::copy(address.begin(), address.end(), end);
  end = std::copy(content.begin(), content.end(), end);
  int done = 0, rest = 0;
  const bool sealed =
      begin(cipher_.get(), number_, {start, kHeaderBytes}) &&
      EVP_CipherUpdate(cipher_.get(), text, &done, text, static_cast<int>(end - text)) == 1 &&
      EVP_CipherFinal_ex(cipher_.get(), text + done, &rest) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher_.get(), EVP_CTRL_AEAD_GET_TAG, kTagBytes, end) == 1;
  if (sealed) return length;
  out.resize(before);
  return 0;
}

ForwardOpener::Opened ForwardOpener::open(MutableBytes datagram, uint64_t wall_seconds) {
  Opened opened;
  if (datagram.size() < kOverhead || datagram[0] != kFormat) return opened;
  const MutableBytes header = datagram.first(kHeaderBytes);
  const MutableBytes tag = datagram.last(kTagBytes);
  const MutableBytes text =
      datagram.subspan(kHeaderBytes, datagram.size() - kHeaderBytes - kTagBytes);
  Reader in(header.subspan(1));
  uint8_t kind = 0;
  uint64_t number = 0;
  const bool read = in.u8(opened.header.thread) && in.u8(kind) && in.u32(opened.header.to) &&
                    in.u32(opened.header.from) && in.take(kSenderBytes, opened.sender) &&
                    in.u48(number);
  MCBN_ASSERT(read);
  if (!read || kind < 1 || kind > static_cast<uint8_t>(ForwardKind::Question)) return opened;
  opened.header.kind = static_cast<ForwardKind>(kind);

  Name name;
  std::copy_n(header.begin() + kFromOffset, name.size(), name.begin());
  const auto found = senders_.find(name);
  std::unique_ptr<Sender> fresh;
  if (found == senders_.end()) {
    fresh = std::make_unique<Sender>(cipherOf(key_.view(), name, false));
    if (!fresh->cipher) return opened;
  }
  Sender& sender = fresh ? *fresh : *found->second;
  // Before the work of decrypting: nothing changes by it, and a copy is not worth it.
  if (sender.window.seen(number)) {
    opened.fault = Fault::Replayed;
    return opened;
  }
  if (!decrypt(sender.cipher.get(), number, header, text, tag)) return opened;
  Reader plain(text);
  uint8_t address = 0;
  if (!plain.u32(opened.time) || !plain.u8(address) || !plain.take(address, opened.address))
    return opened;
  // Seconds wrap in 2106.
  const auto age = static_cast<int32_t>(static_cast<uint32_t>(wall_seconds) - opened.time);
  if (age > static_cast<int32_t>(kMostAge) || -age > static_cast<int32_t>(kMostAge)) {
    opened.fault = Fault::Stale;
    return opened;
  }
  sender.window.mark(number);
  sender.heard = ++heard_;
  if (fresh) remember(name, std::move(fresh));
  opened.content = text.last(plain.remaining());
  opened.fault = Fault::None;
  return opened;
}

void ForwardOpener::remember(const Name& name, std::unique_ptr<Sender> sender) {
  if (senders_.size() == kMostSenders) {
    senders_.erase(std::ranges::min_element(senders_, {},
                                            [](const auto& entry) { return entry.second->heard; }));
  }
  senders_.emplace(name, std::move(sender));
}

}  // namespace mcbn
