// psk_policy.h: where a server's keys come from, and what it does about identities that it does not
// know.
#pragma once

#include <memory>

#include "psk/key_table.h"

namespace mcbn {

// What to do when nobody knows the identity (RFC 4279 section 2 allows both).
enum class UnknownIdentity : uint8_t { Conceal, Alert };

struct PskPolicy {
  std::shared_ptr<const KeyTable> table;  // servers; may be empty
  bool ask = false;                       // a miss becomes a question for JavaScript
  UnknownIdentity unknown = UnknownIdentity::Conceal;
};

}  // namespace mcbn
