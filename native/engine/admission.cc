#include "engine/admission.h"

#include <algorithm>
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

std::string hostKey(const Address& address) {
  const AddressBytes host = address.hostBytes();
  const ByteView bytes = host.view();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void Admission::join(Member& member) {
  const std::lock_guard lock(mutex_);
  members_.push_back(&member);
}

void Admission::leave(Member& member) {
  const std::lock_guard lock(mutex_);
  std::erase(members_, &member);
}

bool Admission::begin(const std::string& host, bool replaces, Milliseconds now) {
  const std::lock_guard lock(mutex_);
  if (!replaces) {
    const bool full = handshakes_ + sessions_ >= limits_.max_sessions;
    if (full && !mostSilent(now)) return false;
    if (handshakes_ >= limits_.max_handshakes) return false;
    const size_t fair_share = std::max<size_t>(limits_.max_handshakes / 2, 1);
    if (countOf(handshakes_by_host_, host) >= fair_share) return false;
    if (limits_.max_sessions_per_host != 0 &&
        countOf(sessions_by_host_, host) >= limits_.max_sessions_per_host) {
      return false;
    }
  }
  handshakes_ += 1;
  handshakes_by_host_[host] += 1;
  if (limits_.max_sessions_per_host != 0) sessions_by_host_[host] += 1;
  return true;
}

bool Admission::opened(Member& member, const std::string& host, Milliseconds now) {
  const std::lock_guard lock(mutex_);
  // Other handshakes do not count here: who has proved nothing yet displaces nobody.
  // More than one goes where spared() has left too many.
  while (sessions_ >= limits_.max_sessions) {
    Member* const victim = mostSilent(now);
    if (!victim) return false;
    sessions_ -= 1;
    victim->evictions_ += 1;
    if (victim != &member) victim->evict_();
  }
  MCBN_ASSERT(handshakes_ > 0);
  handshakes_ -= 1;
  countDown(handshakes_by_host_, host);
  sessions_ += 1;
  return true;
}

bool Admission::arrived(const std::string& host) {
  const std::lock_guard lock(mutex_);
  if (handshakes_ + sessions_ >= limits_.max_sessions) return false;
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
  MCBN_ASSERT(handshakes_ > 0);
  handshakes_ -= 1;
  countDown(handshakes_by_host_, host);
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
