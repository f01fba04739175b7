#include "engine/peer_directory.h"

#include <openssl/rand.h>

#include <utility>

namespace mcbn {
namespace {

size_t randomSeed() {
  size_t seed = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&seed), sizeof seed);
  return seed;
}

}  // namespace

size_t PeerDirectory::SeededHash::operator()(const Address& address) const {
  // Strangers choose their ports: without a secret they could choose them to collide.
  uint64_t mixed = (address.hash() ^ seed) * 0x9e3779b97f4a7c15ULL;
  return static_cast<size_t>(mixed ^ (mixed >> 32));
}

PeerDirectory::PeerDirectory(size_t id_length, std::optional<uint8_t> thread, NodeIds* nodes,
                             uint32_t node)
    : ids_(id_length, thread, nodes, node), places_(16, SeededHash{randomSeed()}) {}

void PeerDirectory::expect(const Address& address) const {
  constexpr size_t kCacheLine = 64;
  const auto found = places_.find(address);
  if (found == places_.end()) return;
  const auto* const bytes = reinterpret_cast<const char*>(found->second.current);
  for (size_t at = 0; at < sizeof(Association); at += kCacheLine) __builtin_prefetch(bytes + at);
}

const PeerDirectory::Place* PeerDirectory::at(const Address& address) {
  if (recent_place_ && address == recent_) return recent_place_;
  const auto found = places_.find(address);
  if (found == places_.end()) return nullptr;
  recent_ = address;
  return recent_place_ = &found->second;
}

bool PeerDirectory::adopt(Association& association) {
  const ByteView id = association.session.ownConnectionId();
  Place* const there = const_cast<Place*>(at(association.peer));
  if (!id.empty() && !ids_.adopt(association, id)) return false;
  if (id.empty() && there) return false;
  if (!there) places_[association.peer].current = &association;
  return true;
}

Association* PeerDirectory::enter(Association& association) {
  MCBN_ASSERT(!association.opened);
  Place& place = places_[association.peer];
  const bool replaces_later = place.current && place.current->opened;
  return std::exchange(replaces_later ? place.candidate : place.current, &association);
}

Association* PeerDirectory::finish(Association& association) {
  const auto found = places_.find(association.peer);
  if (found == places_.end() || found->second.candidate != &association) return nullptr;
  found->second.candidate = nullptr;
  return std::exchange(found->second.current, &association);
}

void PeerDirectory::move(Association& association, const Address& to) {
  vacate(association);
  association.peer = to;
  // A session that can be found by the address only keeps the place; so does a handshake. One with
  // an ID that was there has left it: its port belongs to somebody else now.
  Place& place = places_[to];
  const bool free = !place.current || (place.current->opened && place.current->hasConnectionId());
  if (free) place.current = &association;
}

void PeerDirectory::leave(Association& association) {
  vacate(association);
  ids_.release(association);
}

void PeerDirectory::vacate(Association& association) {
  const auto found = places_.find(association.peer);
  if (found == places_.end()) return;
  Place& place = found->second;
  if (place.candidate == &association) place.candidate = nullptr;
  if (place.current == &association) place.current = std::exchange(place.candidate, nullptr);
  if (place.current) return;
  places_.erase(found);
  recent_place_ = nullptr;
}

}  // namespace mcbn
