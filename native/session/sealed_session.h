// sealed_session.h: an open session as bytes that only the holder of a key can read or make.
//
//   OpenState or OpenState13 --seal()--> format | nonce | AES-256-GCM(state) | tag --unseal()--> the same
//
// docs/SESSIONS.md has the formats to the byte: one for each version of DTLS, and neither is ever read as the other,
// since the first byte is authenticated. state_bytes.h writes and reads the states.
// A sealed session is a copy of what must exist once:
// two owners would use the same record numbers, and with them the same nonces. The caller takes the
// session away from its owner before it seals it; ImportedSessions refuses the same bytes twice.
//
// Ownership   a SessionSeal owns its key and wipes it.
// Thread      a SessionSeal: one at a time. ImportedSessions: any, behind a mutex.
// Spec        NIST SP 800-38D (GCM), RFC 9000 section 16 (variable-length integers)
#pragma once

#include <openssl/types.h>

#include <array>
#include <memory>
#include <mutex>
#include <unordered_set>
#include <variant>

#include "base/address_bytes.h"
#include "record/ciphers.h"
#include "session/context.h"
#include "session/open_session.h"
#include "session/seal_fault.h"

namespace mcbn {

// A session and what its endpoint knows of it.
struct PortableSession {
  std::variant<OpenState, OpenState13> state;
  AddressBytes peer;         // where records are sent to
  Milliseconds silence = 0;  // since a message was last received or sent; whole seconds are kept
  // A client's own address, where the server finds the session by nothing else; empty: any will do.
  AddressBytes local = {};

  // Null: it is one of DTLS 1.3, or of 1.2.
  OpenState* of12() { return std::get_if<OpenState>(&state); }
  const OpenState* of12() const { return std::get_if<OpenState>(&state); }
  OpenState13* of13() { return std::get_if<OpenState13>(&state); }
  const OpenState13* of13() const { return std::get_if<OpenState13>(&state); }

  const Identity& identity() const {
    return std::visit([](const auto& each) -> const Identity& { return each.identity; }, state);
  }
  const AgreedNames& names() const {
    return std::visit([](const auto& each) -> const AgreedNames& { return each.names; }, state);
  }
  // What records to us have, from the session's beginning on; empty: nothing.
  ByteView ownId() const {
    if (const OpenState13* const newer = of13()) {
      return newer->own_ids.empty() ? ByteView() : ByteView(newer->own_ids.front());
    }
    return of12()->ids.own;
  }
};

class SessionSeal {
 public:
  static constexpr size_t kKeyBytes = 32;
  // The first byte: the state is one of DTLS 1.2, or of 1.3.
  static constexpr uint8_t kFormat12 = 1, kFormat13 = 2;
  static constexpr size_t kNonceBytes = 12;
  static constexpr size_t kTagBytes = 16;

  // `key` has kKeyBytes.
  explicit SessionSeal(ByteView key);
  ~SessionSeal();
  SessionSeal(const SessionSeal&) = delete;
  SessionSeal& operator=(const SessionSeal&) = delete;

  // Appends to `out`; false, and nothing, when OpenSSL refuses. `bound_to`: what unseal() must be given
  // as well; a row of a session store is bound to its name there.
  bool seal(const PortableSession& session, Bytes& out, ByteView bound_to = {});

  struct Opened {
    SealFault fault = SealFault::None;
    std::optional<PortableSession> session;  // there is one unless there is a fault
  };
  // For sessions that `context` could have agreed on; of DTLS 1.3, those of its role (Session::judge() asks
  // the rest). Keys are made; the bytes are not used up.
  Opened unseal(ByteView sealed, const Context& context, ByteView bound_to = {});

 private:
  bool begin(ByteView header, ByteView bound_to, bool sealing);
  bool nextNonce(std::span<uint8_t, kNonceBytes> out);

  Secret key_;
  CipherContext context_;
  std::array<uint8_t, kNonceBytes> nonce_{};  // the last one
  bool started_ = false;
};

// The sealed sessions that this process has taken, by their nonces. Remembers the last 2^20 at
// least.
class ImportedSessions {
 public:
  static ImportedSessions& ofProcess();

  // False: they were taken before. `sealed` was unsealed, so it is long enough.
  bool take(ByteView sealed);

 private:
  static constexpr size_t kGeneration = 1 << 20;

  std::mutex mutex_;
  std::unordered_set<uint64_t> newer_, older_;
};

}  // namespace mcbn
