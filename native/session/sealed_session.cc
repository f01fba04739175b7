#include "session/sealed_session.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <utility>

#include "session/state_bytes.h"

namespace mcbn {
namespace {

constexpr size_t kHeaderBytes = 1 + SessionSeal::kNonceBytes;

// Authenticated with the state: no version's bytes are another's.
constexpr std::string_view kPurpose = "mcbn DTLS session";

// Of a state with everything around it, except what follows below.
constexpr size_t kMostBytes = 2'048;

size_t mostBytes(const OpenState& state) {
  size_t most = kMostBytes;
  for (const Bytes& datagram : state.last_flight) most += datagram.size() + 8;
  return most;
}
size_t mostBytes(const OpenState13& state) {
  size_t most = kMostBytes + state.identity.size();
  for (const WaitingMessage& message : state.messages) most += message.body.size() + 8;
  for (const Bytes& id : state.spare_ids) most += id.size() + 8;
  return most;
}

}  // namespace

const char* nameOf(SealFault fault) {
  switch (fault) {
    case SealFault::None:
      return "";
    case SealFault::Forged:
      return "forged";
    case SealFault::Version:
      return "version";
    case SealFault::Protocol:
      return "protocol";
    case SealFault::WrongRole:
      return "wrongRole";
    case SealFault::Suite:
      return "suite";
    case SealFault::Malformed:
      return "malformed";
    case SealFault::OtherIdentity:
      return "otherIdentity";
    case SealFault::UsedBefore:
      return "usedBefore";
  }
  return "";
}

SessionSeal::SessionSeal(ByteView key) : key_(key), context_(EVP_CIPHER_CTX_new()) {
  MCBN_ASSERT(key.size() == kKeyBytes);
  const EVP_CIPHER* const gcm = aeadCipher(AeadKind::Gcm, kKeyBytes);
  // The key is expanded once for all sessions.
  if (context_ && EVP_CipherInit_ex(context_.get(), gcm, nullptr, key_.data(), nullptr, 1) != 1) {
    context_.reset();
  }
}

SessionSeal::~SessionSeal() = default;

// Nonce and additional data.
bool SessionSeal::begin(ByteView header, ByteView bound_to, bool sealing) {
  if (!context_) return false;
  int done = 0;
  const auto* const purpose = reinterpret_cast<const uint8_t*>(kPurpose.data());
  return EVP_CipherInit_ex(context_.get(), nullptr, nullptr, nullptr, header.data() + 1,
                           sealing ? 1 : 0) == 1 &&
         EVP_CipherUpdate(context_.get(), nullptr, &done, purpose,
                          static_cast<int>(kPurpose.size())) == 1 &&
         EVP_CipherUpdate(context_.get(), nullptr, &done, header.data(), 1) == 1 &&
         (bound_to.empty() || EVP_CipherUpdate(context_.get(), nullptr, &done, bound_to.data(),
                                               static_cast<int>(bound_to.size())) == 1);
}

// Random to begin with; then the first eight bytes count. So no number of sessions that one seal has
// sealed can have used a nonce twice.
bool SessionSeal::nextNonce(std::span<uint8_t, kNonceBytes> out) {
  if (!started_) {
    started_ = RAND_bytes(nonce_.data(), static_cast<int>(nonce_.size())) == 1;
    if (!started_) return false;
  }
  for (size_t i = 8; i-- > 0 && ++nonce_[i] == 0;) continue;
  std::ranges::copy(nonce_, out.begin());
  return true;
}

bool SessionSeal::seal(const PortableSession& session, Bytes& out, ByteView bound_to) {
  const size_t start = out.size();
  // The plain text must not be left behind in memory that the vector grew out of.
  out.reserve(start +
              std::visit([](const auto& state) { return mostBytes(state); }, session.state));
  out.push_back(session.of13() ? kFormat13 : kFormat12);
  out.resize(start + kHeaderBytes);
  const bool fresh =
      nextNonce(std::span<uint8_t, kNonceBytes>(out.data() + start + 1, kNonceBytes));
  std::visit([&](const auto& state) { state_bytes::write(out, state, session); }, session.state);
  const size_t length = out.size() - start - kHeaderBytes;
  uint8_t* const text = out.data() + start + kHeaderBytes;
  std::array<uint8_t, kTagBytes> tag;
  int done = 0, rest = 0;
  const bool sealed =
      fresh && begin({out.data() + start, kHeaderBytes}, bound_to, true) &&
      EVP_CipherUpdate(context_.get(), text, &done, text, static_cast<int>(length)) == 1 &&
      EVP_CipherFinal_ex(context_.get(), text + done, &rest) == 1 &&
      EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_GET_TAG, static_cast<int>(tag.size()),
                          tag.data()) == 1;
  if (!sealed) {
    OPENSSL_cleanse(text, length);
    out.resize(start);
    return false;
  }
  out.insert(out.end(), tag.begin(), tag.end());
  return true;
}

SessionSeal::Opened SessionSeal::unseal(ByteView sealed, const Context& context,
                                        ByteView bound_to) {
  const bool newer = !sealed.empty() && sealed[0] == kFormat13;
  if (!sealed.empty() && !newer && sealed[0] != kFormat12) return {SealFault::Version, {}};
  if (sealed.size() < kHeaderBytes + kTagBytes) return {SealFault::Forged, {}};
  const ByteView text = sealed.subspan(kHeaderBytes, sealed.size() - kHeaderBytes - kTagBytes);
  Bytes plain(text.size());
  Bytes tag(sealed.end() - kTagBytes, sealed.end());
  int done = 0, rest = 0;
  const bool authentic = begin(sealed, bound_to, false) &&
                         EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_SET_TAG,
                                             static_cast<int>(kTagBytes), tag.data()) == 1 &&
                         EVP_CipherUpdate(context_.get(), plain.data(), &done, text.data(),
                                          static_cast<int>(text.size())) == 1 &&
                         EVP_CipherFinal_ex(context_.get(), plain.data() + done, &rest) == 1;
  Opened opened{SealFault::Forged, {}};
  if (authentic) {
    opened =
        newer ? state_bytes::parse13(plain, context.role()) : state_bytes::parse12(plain, context);
  }
  OPENSSL_cleanse(plain.data(), plain.size());
  clearOpensslErrors();
  return opened;
}

// ---- what was taken ----------------------------------------------------------------------------

ImportedSessions& ImportedSessions::ofProcess() {
  static ImportedSessions all;
  return all;
}

bool ImportedSessions::take(ByteView sealed) {
  MCBN_ASSERT(sealed.size() >= kHeaderBytes);
  Reader nonce(sealed.subspan(1));
  uint64_t name = 0;
  if (!nonce.u64(name)) return false;
  const std::lock_guard lock(mutex_);
  if (newer_.contains(name) || older_.contains(name)) return false;
  if (newer_.size() >= kGeneration) {
    older_ = std::exchange(newer_, {});
  }
  return newer_.insert(name).second;
}

}  // namespace mcbn
