// The state of a session of DTLS 1.2 as bytes, and back.
#include <utility>

#include "session/state_bytes.h"

namespace mcbn::state_bytes {
namespace {

enum Flag12 : uint8_t {
  kExtended = 2,     // extended master secret
  kFlight = 32,      // a server's: the last flight follows
  kContiguous = 64,  // every number up to the newest was seen, of the newest 64
  kFragment = 128,   // bytes of a record's content at most follow (max_fragment_length)
};

constexpr size_t kMaxFlightDatagrams = 64;
// RFC 6347 section 4.2.4: twice the MSL of TCP. Then no peer asks for a last flight any more.
constexpr Milliseconds kFlightWanted = 240'000;

// All of the newest 64 numbers, those below 0 left out.
uint64_t allUpTo(uint64_t newest) {
  return newest >= 63 ? ~uint64_t{0} : (uint64_t{1} << (newest + 1)) - 1;
}

}  // namespace

void write(Bytes& bytes, const OpenState& state, const PortableSession& session) {
  const auto& [any, peer, silence, local] = session;
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
  writeBytes(out, peer.view());
  out.variable(silence / 1000).variable(state.round_trip);
  writeText(out, state.identity);
  if (state.ids.used()) {
    writeBytes(out, state.ids.own);
    writeBytes(out, state.ids.peer);
  }
  if (!state.names.empty()) {
    writeText(out, state.names.alpn);
    writeText(out, state.names.servername);
  }
  if (bound) writeBytes(out, local.view());
  if (!flight) return;
  out.variable(state.last_flight.size());
  for (const Bytes& datagram : state.last_flight) writeBytes(out, datagram);
}

SessionSeal::Opened parse12(ByteView plain, const Context& context) {
  constexpr uint64_t kMaxSequence = (uint64_t{1} << 48) - 1;
  const auto malformed = [] { return SessionSeal::Opened{SealFault::Malformed, {}}; };
  Reader in(plain);
  uint8_t flags = 0;
  uint16_t suite = 0;
  ByteView secrets;
  if (!in.u8(flags) || !in.u16(suite) || !in.take(ExporterSecrets::kBytes, secrets)) {
    return malformed();
  }
  const Role role = flags & kServer ? Role::Server : Role::Client;
  if (role != context.role()) return {SealFault::WrongRole, {}};
  const SSL_CIPHER* const cipher = context.suiteOf(suite);
  const AeadSuite* const aead = aeadSuiteOf(cipher);
  if (!aead) return {SealFault::Suite, {}};

  RecordPosition position;
  uint64_t silence = 0, round_trip = 0;
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
  if (!readAddress(in, address) || !readShort(in, silence) || !readShort(in, round_trip)) {
    return malformed();
  }
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
    if (!readBytes(in, state.ids.own, kMaxOwnConnectionIdBytes) ||
        !readBytes(in, state.ids.peer, kMaxConnectionIdBytes)) {
      return malformed();
    }
  }
  if (flags & kNames && !readNames(in, state.names)) return malformed();
  AddressBytes local;
  if (role == Role::Client && flags & kLocal && !readAddress(in, local)) return malformed();
  if (role == Role::Server && flags & kFlight) {
    uint64_t count = 0;
    if (!in.variable(count) || count > kMaxFlightDatagrams) return malformed();
    for (; count > 0; --count) {
      if (!readBytes(in, state.last_flight.emplace_back(), kMaxMessage)) return malformed();
    }
  }
  if (!in.empty()) return malformed();
  auto keys = state.secrets.recordKeys(*aead, role);
  if (!keys) return malformed();
  state.keys = std::move(*keys);
  return {SealFault::None, PortableSession{std::move(state), address, silence * 1000, local}};
}

}  // namespace mcbn::state_bytes
