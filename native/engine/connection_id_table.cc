#include "engine/connection_id_table.h"

#include <openssl/rand.h>

#include <algorithm>
#include <string_view>

namespace mcbn {
namespace {

// With three quarters of all IDs taken, one in ten million searches fails.
constexpr unsigned kAttempts = 56;

}  // namespace

bool ConnectionIdTable::assign(Association& association) {
  Bytes id(length_);
  for (unsigned attempt = 0; length_ > 0 && attempt < kAttempts; ++attempt) {
    if (RAND_bytes(id.data(), static_cast<int>(id.size())) != 1) return false;
    if (thread_) id[0] = *thread_;
    if (nodes_ && !nodes_->make(id, node_, thread_)) return false;
    if (find(id)) continue;
    association.connection_id = std::move(id);
    associations_.insert(&association);
    return true;
  }
  return false;
}

bool ConnectionIdTable::adopt(Association& association, ByteView id) {
  MCBN_ASSERT(association.connection_id.empty());
  if (id.empty() || id.size() != length_ || find(id)) return false;
  const uint8_t thread = nodes_ ? id[0] & NodeIdForm::kThreadMask : id[0];
  if (thread_ && thread != *thread_) return false;
  association.connection_id.assign(id.begin(), id.end());
  associations_.insert(&association);
  return true;
}

void ConnectionIdTable::release(Association& association) {
  if (association.connection_id.empty()) return;
  associations_.erase(&association);
  association.connection_id = {};
}

Association* ConnectionIdTable::find(ByteView id) const {
  const auto found = associations_.find(id);
  return found == associations_.end() ? nullptr : *found;
}

size_t ConnectionIdTable::Hash::operator()(ByteView id) const {
  return std::hash<std::string_view>()({reinterpret_cast<const char*>(id.data()), id.size()});
}

size_t ConnectionIdTable::Hash::operator()(const Association* association) const {
  return (*this)(association->connection_id);
}

bool ConnectionIdTable::Equal::operator()(ByteView id, const Association* association) const {
  return std::ranges::equal(id, association->connection_id);
}

}  // namespace mcbn
