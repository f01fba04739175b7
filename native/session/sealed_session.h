// sealed_session.h: an open session as bytes that only the holder of a key can read or make.
//
//   OpenState --seal()--> version | nonce | AES-256-GCM(state) | tag --unseal()--> OpenState
//
// docs/SESSIONS.md has the format to the byte. A sealed session is a copy of what must exist once:
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

#include "base/address_bytes.h"
#include "session/context.h"
#include "session/open_session.h"

namespace mcbn {

// A session and what its endpoint knows of it.
struct PortableSession {
  OpenState state;
  AddressBytes peer;         // where records are sent to
  Milliseconds silence = 0;  // since a message was last received or sent; whole seconds are kept
  // A client's own address, where the server finds the session by nothing else; empty: any will do.
  AddressBytes local = {};
};

// Why a sealed session is not taken.
enum class SealFault : uint8_t {
  None,
  Forged,         // altered, cut, or sealed with another key
  Version,        // of another format
  WrongRole,      // a client's for a server, or the other way round
  Suite,          // not in our list of ciphers
  Malformed,      // authentic, and yet not what it should be
  OtherIdentity,  // a client's for another identity than it was told
  UsedBefore,     // these very bytes were taken already
};

// One word, such as "forged"; empty for None.
const char* nameOf(SealFault fault);

class SessionSeal {
 public:
  static constexpr size_t kKeyBytes = 32;
  static constexpr uint8_t kVersion = 1;
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
  // For sessions that `context` could have agreed on. Keys are made; the bytes are not used up.
  Opened unseal(ByteView sealed, const Context& context, ByteView bound_to = {});

 private:
  struct FreeContext {
    void operator()(EVP_CIPHER_CTX* context) const;
  };

  bool begin(ByteView header, ByteView bound_to, bool sealing);
  bool nextNonce(std::span<uint8_t, kNonceBytes> out);

  Secret key_;
  std::unique_ptr<EVP_CIPHER_CTX, FreeContext> context_;
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
