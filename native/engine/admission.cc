#include "engine/admission.h"

#include <algorithm>
#include <array>
#include <utility>

namespace mcbn {
namespace {

size_t countOf(const std::unordered_map<std::string, size_t>& counts, const std::string& key) {
  const auto found = counts.find(key);
  return found == counts.end() ? 0 : found->second;
}

void countDown(std::unordered_map<std::string, size_t>& counts, const std::string& key) {
  const auto found = counts.find(key);
  if (found != counts.end() && --found->second == 0) counts.erase(found);
}

}  // namespace

// The holder of one IPv6 address has at least 2^64 of them (RFC 6177 section 2): the network counts. Of a
// link's own addresses, and of those that stand for an IPv4 address, each counts.
std::string hostKey(const Address& address) {
  constexpr std::array<uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  constexpr std::array<uint8_t, 12> kTranslated{0, 0x64, 0xff, 0x9b};  // RFC 6052 section 2.1
  constexpr size_t kNetworkBytes = 1 + 8;                              // behind the family
  const AddressBytes host = address.hostBytes();
  ByteView bytes = host.view();
  if (address.isIpv6()) {
    const ByteView ip = bytes.subspan(1);
    const bool each = std::ranges::equal(ip.first(12), kMapped) ||
                      std::ranges::equal(ip.first(12), kTranslated) ||
                      (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80);
    if (!each) bytes = bytes.first(kNetworkBytes);
  }
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string networkKey(const std::string& host) {
  constexpr size_t kHostKey = 1 + 8, kNetworkKey = 1 + 6;  // of IPv6; behind the family
  return host.size() == kHostKey ? host.substr(0, kNetworkKey) : std::string();
}

void Admission::Shares::add(const std::string& host) {
  all += 1;
  by_host[host] += 1;
  if (const std::string network = networkKey(host); !network.empty()) by_network[network] += 1;
}

void Admission::Shares::remove(const std::string& host) {
  MCBN_ASSERT(all > 0);
  all -= 1;
  countDown(by_host, host);
  if (const std::string network = networkKey(host); !network.empty())
    countDown(by_network, network);
}

Admission::Entry Admission::entryOf(const Shares& shares, const std::string& host) const {
  const size_t its = countOf(shares.by_host, host);
  if (its > 0 && !fair(its, shares.all)) return Entry::HostFull;
  const size_t hosts = countOf(shares.by_network, networkKey(host)) / kHostsOfNetwork;
  if (hosts > 0 && !fair(hosts, shares.all)) return Entry::NetworkFull;
  return fair(its, shares.all) ? Entry::Free : Entry::Full;
}

void Admission::join(Member& member) {
  const std::lock_guard lock(mutex_);
  members_.push_back(&member);
}

void Admission::leave(Member& member) {
  const std::lock_guard lock(mutex_);
  std::erase(members_, &member);
}

Admission::Entry Admission::begin(const std::string& host, bool replaces, Milliseconds now) {
  const std::lock_guard lock(mutex_);
  Entry entry = Entry::Free;
  if (!replaces) {
    const bool full = handshakes_.all + sessions_ >= limits_.max_sessions;
    if (full && !mostSilent(now)) return Entry::Refused;
    if (limits_.max_sessions_per_host != 0 &&
        countOf(sessions_by_host_, host) >= limits_.max_sessions_per_host) {
      return Entry::Refused;
    }
    entry = entryOf(handshakes_, host);
  }
  handshakes_.add(host);
  if (limits_.max_sessions_per_host != 0) sessions_by_host_[host] += 1;
  return entry;
}

bool Admission::displaceElsewhere(const Member& own, Milliseconds now) {
  const std::lock_guard lock(mutex_);
  Member* found = nullptr;
  Milliseconds since = kNever;
  for (Member* member : members_) {
    const Milliseconds its = member->waits_since_.load(std::memory_order_relaxed);
    if (member == &own || its >= since || its + kShortestWait > now) continue;
    if (member->displaced_ >= kMostOwed) continue;
    found = member;
    since = its;
  }
  if (!found) return false;
  found->displaced_ += 1;
  found->evict_();
  return true;
}

size_t Admission::takeDisplaced(Member& member) {
  const std::lock_guard lock(mutex_);
  return std::exchange(member.displaced_, 0);
}

bool Admission::crowded() {
  const std::lock_guard lock(mutex_);
  return 4 * handshakes_.all >= limits_.max_handshakes;
}

size_t Admission::handshakesOf(const std::string& host) {
  const std::lock_guard lock(mutex_);
  return countOf(handshakes_.by_host, host);
}

std::optional<uint32_t> Admission::beginLookup(const std::string& host) {
  const std::lock_guard lock(mutex_);
  if (entryOf(lookups_, host) != Entry::Free) return std::nullopt;
  do last_lookup_ += 1;
  while (last_lookup_ == 0 || lookup_hosts_.contains(last_lookup_));
  lookup_hosts_.emplace(last_lookup_, host);
  lookups_.add(host);
  return last_lookup_;
}

bool Admission::lookupSettled(uint32_t number) {
  const std::lock_guard lock(mutex_);
  const auto found = lookup_hosts_.find(number);
  if (found == lookup_hosts_.end()) return false;
  lookups_.remove(found->second);
  lookup_hosts_.erase(found);
  return true;
}

bool Admission::opened(Member& member, const std::string& host, Milliseconds now) {
  const std::lock_guard lock(mutex_);
  // Other handshakes do not count here: a peer that has proved nothing displaces nobody.
  // More than one goes where spared() has left too many.
  while (sessions_ >= limits_.max_sessions) {
    Member* const victim = mostSilent(now);
    if (!victim) return false;
    sessions_ -= 1;
    victim->evictions_ += 1;
    if (victim != &member) victim->evict_();
  }
  handshakes_.remove(host);
  sessions_ += 1;
  return true;
}

bool Admission::arrived(const std::string& host) {
  const std::lock_guard lock(mutex_);
  if (handshakes_.all + sessions_ >= limits_.max_sessions) return false;
  if (limits_.max_sessions_per_host != 0) {
    size_t& count = sessions_by_host_[host];
    if (count >= limits_.max_sessions_per_host) return false;
    count += 1;
  }
  sessions_ += 1;
  return true;
}

void Admission::handshakeEnded(const std::string& host) {
  const std::lock_guard lock(mutex_);
  handshakes_.remove(host);
  if (limits_.max_sessions_per_host != 0) countDown(sessions_by_host_, host);
}

void Admission::sessionEnded(const std::string& host, bool displaced) {
  const std::lock_guard lock(mutex_);
  MCBN_ASSERT(displaced || sessions_ > 0);
  if (!displaced) sessions_ -= 1;
  if (limits_.max_sessions_per_host != 0) countDown(sessions_by_host_, host);
}

void Admission::moved(const std::string& from, const std::string& to) {
  if (limits_.max_sessions_per_host == 0) return;
  const std::lock_guard lock(mutex_);
  countDown(sessions_by_host_, from);
  sessions_by_host_[to] += 1;
}

size_t Admission::takeEvictions(Member& member) {
  const std::lock_guard lock(mutex_);
  return std::exchange(member.evictions_, 0);
}

void Admission::spared() {
  const std::lock_guard lock(mutex_);
  sessions_ += 1;
}

Admission::Member* Admission::mostSilent(Milliseconds now) const {
  Member* found = nullptr;
  Milliseconds since = kNever;
  for (Member* member : members_) {
    const Milliseconds its = member->silent_since_.load(std::memory_order_relaxed);
    if (!stale(its, now) || member->evictions_ >= kMostOwed) continue;
    // Of a thread that has one to end still, it is not known who comes after that one.
    const bool surer = found && member->evictions_ == 0 && found->evictions_ > 0;
    const bool vaguer = found && member->evictions_ > 0 && found->evictions_ == 0;
    if (found && !surer && (vaguer || its >= since)) continue;
    found = member;
    since = its;
  }
  return found;
}

}  // namespace mcbn
