#include "engine/fleet_directory.h"

#include <algorithm>
#include <utility>

namespace mcbn {

FleetDirectory::FleetDirectory(uint32_t node, ByteView key, uint64_t since, Milliseconds began)
    : node_(node), began_(began), key_(key), own_{{node, since}} {}

void FleetDirectory::setMembers(std::vector<Address> members) {
  {
    const std::lock_guard lock(mutex_);
    members_ = std::move(members);
    if (members_.size() > kMostMembers) members_.resize(kMostMembers);
  }
  changed();
}

bool FleetDirectory::takeOver(uint32_t node, uint64_t now) {
  {
    const std::lock_guard lock(mutex_);
    if (!own_.contains(node) && own_.size() == kMostClaims) return false;
    const auto other = elsewhere_.find(node);
    // Newer than what is known, though clocks differ.
    own_[node] = other == elsewhere_.end() ? now : std::max(now, other->second.since + 1);
    if (other != elsewhere_.end()) elsewhere_.erase(other);
  }
  changed();
  return true;
}

void FleetDirectory::onChange(std::function<void()> changed) {
  const std::lock_guard lock(mutex_);
  changed_ = std::move(changed);
}

// With the mutex: onChange() with nothing must not return while a call goes on.
void FleetDirectory::changed() {
  const std::lock_guard lock(mutex_);
  if (changed_) changed_();
}

void FleetDirectory::setBound(const Address& bound) {
  const std::lock_guard lock(mutex_);
  bound_ = bound;
}

Address FleetDirectory::bound() const {
  const std::lock_guard lock(mutex_);
  return bound_;
}

bool FleetDirectory::owns(uint32_t node) const {
  const std::lock_guard lock(mutex_);
  return own_.contains(node);
}

std::optional<uint64_t> FleetDirectory::takenOver(uint32_t node) const {
  const std::lock_guard lock(mutex_);
  const auto found = own_.find(node);
  if (node == node_ || found == own_.end()) return std::nullopt;
  return found->second;
}

std::vector<NodeClaim> FleetDirectory::claims() const {
  const std::lock_guard lock(mutex_);
  std::vector<NodeClaim> all;
  for (const auto& [node, since] : own_) all.push_back({node, since});
  return all;
}

std::optional<Address> FleetDirectory::find(uint32_t node, Milliseconds now) const {
  const std::lock_guard lock(mutex_);
  const auto found = elsewhere_.find(node);
  if (found == elsewhere_.end()) return std::nullopt;
  if (found->second.heard + kForgottenAfter < now) return std::nullopt;
  return found->second.at;
}

std::vector<Address> FleetDirectory::audience(Milliseconds now) const {
  const std::lock_guard lock(mutex_);
  std::vector<Address> all = members_;
  for (const auto& [node, other] : elsewhere_) {
    const bool listed = std::ranges::find(all, other.at) != all.end();
    if (!listed && other.heard + kForgottenAfter >= now) all.push_back(other.at);
  }
  return all;
}

// Whether this process has begun since the claim was made.
bool FleetDirectory::beganAfter(const NodeClaim& claim, uint64_t told, Milliseconds now) const {
  constexpr Milliseconds kRounded = 1'000;
  return told > claim.since && told - claim.since > now - began_ + kRounded;
}

bool FleetDirectory::heard(const Address& from, std::span<const NodeClaim> claims, uint64_t told,
                           Milliseconds now) {
  const std::lock_guard lock(mutex_);
  const bool fresh =
      std::ranges::none_of(elsewhere_, [&](const auto& entry) { return entry.second.at == from; });
  for (const NodeClaim& claim : claims) {
    if (const auto own = own_.find(claim.node); own != own_.end()) {
      if (claim.since <= own->second) continue;
      if (claim.node == node_ && beganAfter(claim, told, now)) {
        own->second = claim.since + 1;
        continue;
      }
      own_.erase(own);  // it was taken over
    }
    const auto found = elsewhere_.find(claim.node);
    if (found == elsewhere_.end()) {
      if (elsewhere_.size() < kMostNodes) elsewhere_[claim.node] = {from, claim.since, now};
    } else if (claim.since >= found->second.since || found->second.at == from ||
               found->second.heard + kForgottenAfter < now) {
      found->second = {from, claim.since, now};
    }
  }
  return fresh;
}

std::vector<FleetDirectory::Known> FleetDirectory::known(Milliseconds now) const {
  const std::lock_guard lock(mutex_);
  std::vector<Known> all;
  for (const auto& [node, since] : own_) all.push_back({node, Address()});
  for (const auto& [node, other] : elsewhere_) {
    if (other.heard + kForgottenAfter >= now) all.push_back({node, other.at});
  }
  return all;
}

}  // namespace mcbn
