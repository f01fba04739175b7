// settings.h: what all DTLS 1.3 sessions of one server, or one client, share.
//
// Ownership   shared_ptr: each session keeps them.
// Thread      immutable once they are shared.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "dtls13/handshake_messages.h"
#include "dtls13/key_exchange.h"
#include "dtls13/suite.h"
#include "psk/psk_policy.h"
#include "session/failure.h"

namespace mcbn::dtls13 {

struct Settings {
  // In order of preference. AES-128-CCM_8 only where it is named (RFC 9147 section 4.5.3).
  std::vector<const Suite*> suites = {&suite::kAes128Gcm, &suite::kChaCha20Poly1305,
                                      &suite::kAes256Gcm, &suite::kAes128Ccm};
  // In order of preference; the running OpenSSL has each (available()).
  std::vector<Group> groups = {Group::X25519, Group::Secp256r1};
  // psk_ke has no forward secrecy, and both sides must want it (RFC 9257 section 6).
  uint8_t modes = kPskDheKe;
  PskPolicy psk;                       // servers
  std::vector<std::string> alpn = {};  // in order of preference (RFC 7301)
  // Age of keys at which the next thing that happens renews them (RFC 9147 section 8); 0: any.
  Milliseconds key_update_interval = 0;

  // Takes the names of TLS 1.3 from a list as OpenSSL has it, in its order; without one the suites stay
  // what they are. A Failure: it has a name that is unknown.
  std::optional<Failure> nameSuites(std::string_view ciphers);
  // Takes these groups ("X25519" and so on; with none, those above), as far as the running OpenSSL has
  // them. A Failure: none is left, and `modes` wants one.
  std::optional<Failure> nameGroups(std::span<const std::string> names);
};

// How a server goes on with a ClientHello; the same with and without a HelloRetryRequest before it.
struct Choice {
  const Suite* suite = nullptr;  // null: nothing is common
  std::optional<Group> group;    // none: psk_ke
  bool needs_share = false;      // the client has sent none of this group
};
Choice choose(const Settings& settings, const ClientHello& hello);

}  // namespace mcbn::dtls13
