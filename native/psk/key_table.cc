#include "psk/key_table.h"

#include <mutex>

namespace mcbn {

const char* protocolName(Protocol protocol) {
  switch (protocol) {
    case Protocol::Tls12:
      return "TLSv1.2";
    case Protocol::Tls13:
      return "TLSv1.3";
    case Protocol::Dtls12:
      return "DTLSv1.2";
    case Protocol::Dtls13:
      return "DTLSv1.3";
    case Protocol::Unknown:
      break;
  }
  return "unknown";
}

void KeyTable::set(Identity identity, PskEntry entry) {
  const std::unique_lock lock(mutex_);
  revoked_.erase(identity);
  entries_.insert_or_assign(std::move(identity), std::move(entry));
}

bool KeyTable::erase(const Identity& identity) {
  const std::unique_lock lock(mutex_);
  return entries_.erase(identity) > 0;
}

void KeyTable::revoke(const Identity& identity) {
  const std::unique_lock lock(mutex_);
  entries_.erase(identity);
  revoked_.insert(identity);
}

KeyTable::Found KeyTable::find(const Identity& identity, PskEntry& entry, bool imports) const {
  const std::shared_lock lock(mutex_);
  const auto found = entries_.find(identity);
  if (found != entries_.end() && (imports || found->second.origin == PskOrigin::External)) {
    entry = found->second.clone();
    return Found::Hit;
  }
  return revoked_.contains(identity) ? Found::Revoked : Found::Miss;
}

bool KeyTable::revoked(const Identity& identity) const {
  const std::shared_lock lock(mutex_);
  return revoked_.contains(identity);
}

size_t KeyTable::size() const {
  const std::shared_lock lock(mutex_);
  return entries_.size();
}

}  // namespace mcbn
