// states13.h: states of sessions of DTLS 1.3 for a fuzzer: real ones, changed ones, and whether two are the same.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <random>

#include "dtls13_pair.h"
#include "session/state_bytes.h"

namespace mcbn::fuzz {

inline void require(bool condition, int line = __builtin_LINE()) {
  if (condition) return;
  std::fprintf(stderr, "what line %d requires does not hold\n", line);
  std::abort();
}

// Of a session that was opened by a handshake, taken away, sealed and opened again. `shape` says of which.
Bytes realState(uint8_t shape);

// A seal, and a context for each role, made once.
SessionSeal& seal();
const Context& contextOf(Role role);

bool same(const PortableSession& a, const PortableSession& b);

// One thing of it is another: a field, what is in a list, how long something is.
void change(PortableSession& session, std::minstd_rand& random);

inline Bytes written(const PortableSession& session) {
  Bytes bytes;
  state_bytes::write(bytes, *session.of13(), session);
  return bytes;
}

}  // namespace mcbn::fuzz
