// state_bytes.h: what the states of sessions of both versions have in common, as bytes. docs/SESSIONS.md has the
// format.
//
// Thread   any.
#pragma once

#include <string>
#include <string_view>

#include "session/sealed_session.h"

namespace mcbn::state_bytes {

// What the first byte of a state says. Bits that are not here belong to one version.
enum Flag : uint8_t {
  kServer = 1,
  kCheck = 4,   // return routability
  kIds = 8,     // connection IDs follow
  kNames = 16,  // ALPN and server name follow
  kLocal = 32,  // a client's: its own address follows
};

inline void writeBytes(Writer& out, ByteView bytes) { out.variable(bytes.size()).bytes(bytes); }
inline void writeText(Writer& out, std::string_view text) {
  writeBytes(out, {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

// False: there are not so many, or more than `most`.
[[nodiscard]] inline bool readBytes(Reader& in, ByteView& out, size_t most) {
  uint64_t length = 0;
  return in.variable(length) && length <= most && in.take(length, out);
}
[[nodiscard]] inline bool readBytes(Reader& in, Bytes& out, size_t most) {
  ByteView bytes;
  if (!readBytes(in, bytes, most)) return false;
  out.assign(bytes.begin(), bytes.end());
  return true;
}
[[nodiscard]] inline bool readText(Reader& in, std::string& out, size_t most) {
  ByteView bytes;
  if (!readBytes(in, bytes, most)) return false;
  out.assign(bytes.begin(), bytes.end());
  return true;
}
[[nodiscard]] inline bool readAddress(Reader& in, AddressBytes& out) {
  ByteView bytes;
  return readBytes(in, bytes, kMaxAddressBytes) && out.append(bytes);
}
// A number that has to be 2^32 - 1 at most.
[[nodiscard]] inline bool readShort(Reader& in, uint64_t& out) {
  return in.variable(out) && out <= UINT32_MAX;
}
[[nodiscard]] inline bool readNames(Reader& in, AgreedNames& names) {
  return readText(in, names.alpn, 255) && readText(in, names.servername, 255);
}

// The states, without what seals them.
void write(Bytes& out, const OpenState& state, const PortableSession& session);
void write(Bytes& out, const OpenState13& state, const PortableSession& session);
SessionSeal::Opened parse12(ByteView plain, const Context& context);
// Whether its suite is wanted, and fits its secrets, is asked elsewhere: this folder knows no suite of DTLS 1.3.
SessionSeal::Opened parse13(ByteView plain, Role role);

}  // namespace mcbn::state_bytes
