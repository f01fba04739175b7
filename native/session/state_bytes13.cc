// The state of a session of DTLS 1.3 as bytes, and back.
#include <algorithm>
#include <utility>

#include "session/state_bytes.h"

namespace mcbn::state_bytes {
namespace {

enum Flag13 : uint8_t {
  kMessages = 2,  // messages of ours follow
  kOlder = 64,    // so does the epoch to read before the one in use
  kClosed = 128,  // of which data and path messages count as seen
};

constexpr uint64_t kNumbers = uint64_t{1} << 48;
constexpr uint64_t kMostUsed = uint64_t{1} << 60;  // more than all records of an epoch have blocks
constexpr uint64_t kFirstEpoch = 3;                // those of the handshake are 0 to 2
constexpr uint64_t kMessageNumbers = uint64_t{1} << 16;
constexpr uint64_t kShortestSecret = 32, kLongestSecret = 64;
constexpr uint64_t kMostMessages = 4;
constexpr size_t kMostBodyBytes = 16'384;

void writeEpoch(Writer& out, const EpochState& state, bool reads) {
  out.variable(state.next);
  if (reads) out.u64(state.seen);
  out.variable(state.used).variable(state.age / 1000);
}

[[nodiscard]] bool readEpoch(Reader& in, EpochState& state, bool reads) {
  if (!in.variable(state.next) || state.next > kNumbers) return false;
  if (reads && !in.u64(state.seen)) return false;
  if (!in.variable(state.used) || state.used > kMostUsed) return false;
  if (!readShort(in, state.age)) return false;
  state.age *= 1000;
  return true;
}

[[nodiscard]] bool readSecret(Reader& in, Secret& secret, size_t length) {
  ByteView bytes;
  if (!in.take(length, bytes)) return false;
  secret = Secret(bytes);
  return true;
}

[[nodiscard]] bool readKeys(Reader& in, OpenState13& state, unsigned flags) {
  uint64_t length = 0;
  if (!in.variable(length) || length < kShortestSecret || length > kLongestSecret) return false;
  for (Secret* const secret : {&state.write.secret, &state.read.secret, &state.exporter}) {
    if (!readSecret(in, *secret, length)) return false;
  }
  for (EpochState* const epoch : {&state.write, &state.read}) {
    if (!in.variable(epoch->epoch) || epoch->epoch < kFirstEpoch ||
        epoch->epoch > OpenState13::kLastEpoch || !readEpoch(in, *epoch, epoch == &state.read)) {
      return false;
    }
  }
  if (!(flags & kOlder)) return true;
  EpochState& older = state.older.emplace();
  older.epoch = state.read.epoch - 1;
  older.closed = (flags & kClosed) != 0;
  return readSecret(in, older.secret, length) && readEpoch(in, older, true);
}

[[nodiscard]] bool readMessages(Reader& in, OpenState13& state) {
  uint8_t under_way = 0;
  uint64_t count = 0;
  if (!in.u8(under_way) || under_way > 1 || !in.variable(count) || count == 0 ||
      count > kMostMessages || (under_way && state.next_message == 0)) {
    return false;
  }
  state.under_way = under_way == 1;
  for (; count > 0; --count) {
    WaitingMessage& message = state.messages.emplace_back();
    if (!in.u8(message.type) || !readBytes(in, message.body, kMostBodyBytes)) return false;
  }
  return true;
}

[[nodiscard]] bool readIds(Reader& in, std::vector<Bytes>& ids, uint64_t most, size_t longest) {
  uint64_t count = 0;
  if (!in.variable(count) || count > most) return false;
  for (; count > 0; --count) {
    if (!readBytes(in, ids.emplace_back(), longest) || ids.back().empty()) return false;
  }
  return true;
}

[[nodiscard]] bool readIds(Reader& in, OpenState13& state) {
  uint8_t requested = 0;
  const auto longer = [&](const Bytes& id) { return id.size() != state.own_ids[0].size(); };
  if (!in.u8(requested) || requested > 1) return false;
  state.ids_requested = requested == 1;
  return readIds(in, state.own_ids, OpenState13::kMostOwnIds, kMaxOwnConnectionIdBytes) &&
         std::ranges::none_of(state.own_ids, longer) &&
         readBytes(in, state.peer_id, kMaxConnectionIdBytes) &&
         readIds(in, state.spare_ids, OpenState13::kMostSpareIds, kMaxConnectionIdBytes);
}

void writeIds(Writer& out, const std::vector<Bytes>& ids) {
  out.variable(ids.size());
  for (const Bytes& id : ids) writeBytes(out, id);
}

}  // namespace

void write(Bytes& bytes, const OpenState13& state, const PortableSession& session) {
  const bool server = state.role == Role::Server;
  const bool bound = !server && !session.local.view().empty();
  const bool ids = !state.own_ids.empty() || !state.peer_id.empty() || !state.spare_ids.empty();
  const unsigned flags = (server ? kServer : 0) | (state.messages.empty() ? 0 : kMessages) |
                         (state.return_routability ? kCheck : 0) | (ids ? kIds : 0) |
                         (state.names.empty() ? 0 : kNames) | (bound ? kLocal : 0) |
                         (state.older ? kOlder : 0) |
                         (state.older && state.older->closed ? kClosed : 0);
  Writer out(bytes);
  out.u8(flags).u16(state.suite).variable(state.exporter.size());
  for (const Secret* const secret : {&state.write.secret, &state.read.secret, &state.exporter}) {
    MCBN_ASSERT(secret->size() == state.exporter.size());
    out.bytes(secret->view());
  }
  out.variable(state.write.epoch);
  writeEpoch(out, state.write, false);
  out.variable(state.read.epoch);
  writeEpoch(out, state.read, true);
  if (state.older) {
    MCBN_ASSERT(state.older->epoch + 1 == state.read.epoch);
    out.bytes(state.older->secret.view());
    writeEpoch(out, *state.older, true);
  }
  out.variable(state.next_message).variable(state.next_of_peer);
  if (!state.messages.empty()) {
    out.u8(state.under_way ? 1 : 0).variable(state.messages.size());
    for (const auto& [type, body] : state.messages) writeBytes(out.u8(type), body);
  }
  writeBytes(out, session.peer.view());
  out.variable(session.silence / 1000).variable(state.round_trip);
  writeText(out, state.identity);
  if (ids) {
    writeIds(out.u8(state.ids_requested ? 1 : 0), state.own_ids);
    writeBytes(out, state.peer_id);
    writeIds(out, state.spare_ids);
  }
  if (!state.names.empty()) {
    writeText(out, state.names.alpn);
    writeText(out, state.names.servername);
  }
  if (bound) writeBytes(out, session.local.view());
}

SessionSeal::Opened parse13(ByteView plain, Role role) {
  const auto malformed = [] { return SessionSeal::Opened{SealFault::Malformed, {}}; };
  Reader in(plain);
  uint8_t flags = 0;
  OpenState13 state;
  if (!in.u8(flags) || !in.u16(state.suite)) return malformed();
  state.role = flags & kServer ? Role::Server : Role::Client;
  if (state.role != role) return {SealFault::WrongRole, {}};
  uint64_t ours = 0, theirs = 0, silence = 0;
  if (!readKeys(in, state, flags) || !in.variable(ours) || ours > kMessageNumbers ||
      !in.variable(theirs) || theirs > kMessageNumbers) {
    return malformed();
  }
  state.next_message = static_cast<uint32_t>(ours);
  state.next_of_peer = static_cast<uint32_t>(theirs);
  state.return_routability = (flags & kCheck) != 0;
  if (flags & kMessages && !readMessages(in, state)) return malformed();
  AddressBytes peer, local;
  if (!readAddress(in, peer) || !readShort(in, silence) || !readShort(in, state.round_trip) ||
      !readText(in, state.identity, kMaxIdentityLength13) ||
      (flags & kIds && !readIds(in, state)) || (flags & kNames && !readNames(in, state.names)) ||
      (role == Role::Client && flags & kLocal && !readAddress(in, local)) || !in.empty()) {
    return malformed();
  }
  return {SealFault::None, PortableSession{std::move(state), peer, silence * 1000, local}};
}

}  // namespace mcbn::state_bytes
