// key_table.h: identity -> key, shared by every session of a server.
//
// A hit is answered here, without JavaScript. Endpoints on I/O threads read while JavaScript
// changes keys.
//
// Ownership   held by shared_ptr: the server's JavaScript object and its contexts.
// Thread      any; a shared mutex guards the map. find() copies the key out, so no lock outlives
//             a call.
#pragma once

#include <atomic>
#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "psk/psk.h"

namespace mcbn {

class KeyTable {
 public:
  enum class Found : uint8_t { Hit, Miss, Revoked };

  void set(Identity identity, PskEntry entry);  // also lifts a revocation
  bool erase(const Identity& identity);
  // Refuses the identity until it is set again; lookups that JavaScript answers are refused as
  // well.
  void revoke(const Identity& identity);

  // Without `imports` keys that were imported are not there: the asker could not say so (PskOrigin).
  Found find(const Identity& identity, PskEntry& entry, bool imports = false) const;
  bool revoked(const Identity& identity) const;
  size_t size() const;

 private:
  mutable std::shared_mutex mutex_;
  std::unordered_map<Identity, PskEntry> entries_;
  std::unordered_set<Identity> revoked_;
};

}  // namespace mcbn
