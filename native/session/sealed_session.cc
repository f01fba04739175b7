#include "session/sealed_session.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <utility>

namespace mcbn {
namespace {

// What the first byte of the state says.
enum Flag : uint8_t {
  kServer = 1,
  kExtended = 2,     // extended master secret
  kCheck = 4,        // return routability
  kIds = 8,          // connection IDs follow
  kNames = 16,       // ALPN and server name follow
  kFlight = 32,      // a server's: the last flight follows
  kLocal = 32,       // a client's: its own address follows
  kContiguous = 64,  // every number up to the newest was seen, of the newest 64
  kFragment = 128,   // bytes of a record's content at most follow (max_fragment_length)
};

constexpr size_t kHeaderBytes = 1 + SessionSeal::kNonceBytes;
constexpr size_t kMaxFlightDatagrams = 64;
// RFC 6347 section 4.2.4: twice the MSL of TCP. Then no peer asks for a last flight any more.
constexpr Milliseconds kFlightWanted = 240'000;

// All of the newest 64 numbers, those below 0 left out.
uint64_t allUpTo(uint64_t newest) {
  return newest >= 63 ? ~uint64_t{0} : (uint64_t{1} << (newest + 1)) - 1;
}

void writeText(Writer& out, std::string_view text) {
  out.variable(text.size());
  out.bytes({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

[[nodiscard]] bool readBytes(Reader& in, ByteView& out, size_t most) {
  uint64_t length = 0;
  return in.variable(length) && length <= most && in.take(length, out);
}

[[nodiscard]] bool readText(Reader& in, std::string& out, size_t most) {
  ByteView bytes;
  if (!readBytes(in, bytes, most)) return false;
  out.assign(bytes.begin(), bytes.end());
  return true;
}

void write(Bytes& bytes, const PortableSession& session) {
  const auto& [state, peer, silence, local] = session;
  const RecordPosition& position = state.position;
  const bool contiguous =
      (position.seen & allUpTo(position.newest_read)) == allUpTo(position.newest_read);
  const bool server = state.role == Role::Server;
  const bool flight = server && !state.last_flight.empty() && silence < kFlightWanted;
  const bool bound = !server && !local.view().empty();
  const unsigned flags = (server ? kServer : 0) | (state.secrets.extended() ? kExtended : 0) |
                         (state.return_routability ? kCheck : 0) | (state.ids.used() ? kIds : 0) |
                         (state.names.empty() ? 0 : kNames) | (flight ? kFlight : 0) |
                         (contiguous ? kContiguous : 0) | (bound ? kLocal : 0) |
                         (state.max_fragment < kMaxMessage ? kFragment : 0);
  Writer out(bytes);
  out.u8(flags).u16(SSL_CIPHER_get_protocol_id(state.cipher)).bytes(state.secrets.bytes());
  out.variable(position.next_write).variable(position.newest_read);
  if (!contiguous) out.u64(position.seen);
  if (flags & kFragment) out.u16(state.max_fragment);
  out.variable(position.blocks).variable(position.forgeries);
  out.variable(peer.view().size()).bytes(peer.view());
  out.variable(silence / 1000).variable(state.round_trip);
  writeText(out, state.identity);
  if (state.ids.used()) {
    out.variable(state.ids.own.size()).bytes(state.ids.own);
    out.variable(state.ids.peer.size()).bytes(state.ids.peer);
  }
  if (!state.names.empty()) {
    writeText(out, state.names.alpn);
    writeText(out, state.names.servername);
  }
  if (bound) out.variable(local.view().size()).bytes(local.view());
  if (!flight) return;
  out.variable(state.last_flight.size());
  for (const Bytes& datagram : state.last_flight) out.variable(datagram.size()).bytes(datagram);
}

SessionSeal::Opened parse(ByteView plain, const Context& context) {
  constexpr uint64_t kMaxSequence = (uint64_t{1} << 48) - 1;
  const auto malformed = [] { return SessionSeal::Opened{SealFault::Malformed, {}}; };
  Reader in(plain);
  uint8_t flags = 0;
  uint16_t suite = 0;
  ByteView secrets, peer;
  if (!in.u8(flags) || !in.u16(suite) || !in.take(ExporterSecrets::kBytes, secrets)) {
    return malformed();
  }
  const Role role = flags & kServer ? Role::Server : Role::Client;
  if (role != context.role()) return {SealFault::WrongRole, {}};
  const SSL_CIPHER* const cipher = context.suiteOf(suite);
  const AeadSuite* const aead = aeadSuiteOf(cipher);
  if (!aead) return {SealFault::Suite, {}};

  RecordPosition position;
  uint64_t silence = 0, round_trip = 0, peer_bytes = 0;
  if (!in.variable(position.next_write) || !in.variable(position.newest_read)) return malformed();
  if (position.next_write > kMaxSequence + 1 || position.newest_read > kMaxSequence) {
    return malformed();
  }
  position.seen = allUpTo(position.newest_read);
  if (!(flags & kContiguous) && !in.u64(position.seen)) return malformed();
  uint16_t max_fragment = kMaxMessage;
  if (flags & kFragment && (!in.u16(max_fragment) || max_fragment > kMaxMessage)) {
    return malformed();
  }
  if (!in.variable(position.blocks) || !in.variable(position.forgeries)) return malformed();
  AddressBytes address;
  if (!in.variable(peer_bytes) || !in.take(peer_bytes, peer) || !address.append(peer)) {
    return malformed();
  }
  if (!in.variable(silence) || !in.variable(round_trip)) return malformed();
  if (silence > UINT32_MAX || round_trip > UINT32_MAX) return malformed();
  OpenState state{
      .cipher = cipher,
      .role = role,
      .secrets = ExporterSecrets(Secret(secrets), SSL_CIPHER_get_handshake_digest(cipher),
                                 (flags & kExtended) != 0),
      .position = position,
      .max_fragment = max_fragment,
      .ids = {},
      .return_routability = (flags & kCheck) != 0,
      .identity = {},
      .names = {},
      .round_trip = round_trip,
      .last_flight = {}};
  if (!readText(in, state.identity, kMaxIdentityLength)) return malformed();
  if (flags & kIds) {
    ByteView own, theirs;
    if (!readBytes(in, own, kMaxOwnConnectionIdBytes) ||
        !readBytes(in, theirs, kMaxConnectionIdBytes)) {
      return malformed();
    }
    state.ids = {{own.begin(), own.end()}, {theirs.begin(), theirs.end()}};
  }
  if (flags & kNames &&
      !(readText(in, state.names.alpn, 255) && readText(in, state.names.servername, 255))) {
    return malformed();
  }
  AddressBytes local;
  if (role == Role::Client && flags & kLocal) {
    ByteView bytes;
    if (!readBytes(in, bytes, kMaxAddressBytes) || !local.append(bytes)) return malformed();
  }
  if (role == Role::Server && flags & kFlight) {
    uint64_t count = 0;
    if (!in.variable(count) || count > kMaxFlightDatagrams) return malformed();
    for (; count > 0; --count) {
      ByteView datagram;
      if (!readBytes(in, datagram, kMaxMessage)) return malformed();
      state.last_flight.emplace_back(datagram.begin(), datagram.end());
    }
  }
  if (!in.empty()) return malformed();
  auto keys = state.secrets.recordKeys(*aead, role);
  if (!keys) return malformed();
  state.keys = std::move(*keys);
  return {SealFault::None, PortableSession{std::move(state), address, silence * 1000, local}};
}

// Authenticated with the state: no version's bytes are another's.
constexpr std::string_view kPurpose = "mcbn DTLS session";

}  // namespace

const char* nameOf(SealFault fault) {
  switch (fault) {
    case SealFault::None:
      return "";
    case SealFault::Forged:
      return "forged";
    case SealFault::Version:
      return "version";
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

void SessionSeal::FreeContext::operator()(EVP_CIPHER_CTX* context) const {
  EVP_CIPHER_CTX_free(context);
}

SessionSeal::SessionSeal(ByteView key) : key_(key), context_(EVP_CIPHER_CTX_new()) {
  MCBN_ASSERT(key.size() == kKeyBytes);
  static const EVP_CIPHER* const gcm = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
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
  size_t flight = 0;
  for (const Bytes& datagram : session.state.last_flight) flight += datagram.size() + 8;
  out.reserve(start + 1'536 + flight);
  out.push_back(kVersion);
  out.resize(start + kHeaderBytes);
  const bool fresh =
      nextNonce(std::span<uint8_t, kNonceBytes>(out.data() + start + 1, kNonceBytes));
  write(out, session);
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
  if (!sealed.empty() && sealed[0] != kVersion) return {SealFault::Version, {}};
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
    opened = parse(plain, context);
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
