// How a ServerEndpoint makes room for newcomers: handshakes that wait for their clients go for them,
// silent sessions too, and lookups are as many as may be; and how sessions of an identity end.
#include "engine/server_endpoint.h"

namespace mcbn {

// Whether a handshake may begin, which may have cost another one that waited.
bool ServerEndpoint::makeRoom(const Address& from, Milliseconds now) {
  // What a blocked event loop has to be told of must not grow without limit either.
  if (events_.full()) return false;
  const std::string host = hostKey(from);
  const auto entry = admission_->begin(host, replacesHandshake(from), now);
  if (entry == Admission::Entry::Refused) return false;
  crowded_ = admission_->crowded();
  if (entry == Admission::Entry::Free) return true;
  const bool own = entry != Admission::Entry::Full;
  const std::string whose = entry == Admission::Entry::HostFull      ? host
                            : entry == Admission::Entry::NetworkFull ? networkKey(host)
                                                                     : std::string();
  if (Association* const victim = waitingFor(whose, now)) {
    displace(*victim);
    return true;
  }
  if (!own && admission_->displaceElsewhere(member_, now)) return true;
  admission_->handshakeEnded(host);
  return false;
}

// Of the handshakes that waited longest, and long enough: one of this host or network; with none given, one of
// the host that has most. Null: there is none among the first.
Association* ServerEndpoint::waitingFor(const std::string& whose, Milliseconds now) const {
  constexpr size_t kLookedAt = 64;
  Association* found = nullptr;
  size_t most = 0;
  Association* each = waiting_.oldest();
  for (size_t count = 0; each && count < kLookedAt; ++count, each = each->newer) {
    if (each->waits_since + Admission::kShortestWait > now) break;
    const std::string its = hostKey(each->confirmedAddress());
    if (!whose.empty()) {
      if (its.starts_with(whose)) return each;
      continue;
    }
    const size_t has = admission_->handshakesOf(its);
    if (has <= most) continue;
    found = each;
    most = has;
  }
  return found;
}

// While the server is crowded.
Milliseconds ServerEndpoint::waitingDeadline() const {
  const Association* const oldest = waiting_.oldest();
  return crowded_ && oldest ? oldest->waits_since + Admission::kPatience : kNever;
}

void ServerEndpoint::endOverdue(Milliseconds now) {
  while (waitingDeadline() <= now) {
    crowded_ = admission_->crowded();
    if (crowded_) displace(*waiting_.oldest());
  }
}

void ServerEndpoint::displace(Association& association) {
  stats_.handshakes_displaced += 1;
  endWith(association, {.code = "MCBN_HANDSHAKE_FAILED",
                        .message = "it waited for its client longest, and others needed the place "
                                   "(maxHandshakes)"});
}

void ServerEndpoint::waits(Association& association, Milliseconds now) {
  association.waits_since = now;
  waiting_.touch(association);
  tellWaiting();
}

void ServerEndpoint::waitsNoMore(Association& association) {
  association.waits_since = kNever;
  waiting_.erase(association);
  tellWaiting();
}

void ServerEndpoint::tellWaiting() {
  const Association* const oldest = waiting_.oldest();
  member_.waitsSince(oldest ? oldest->waits_since : kNever);
}

bool ServerEndpoint::mayAsk() {
  const auto lookup = admission_->beginLookup(hostKey(current_->confirmedAddress()));
  if (!lookup) {
    stats_.dropped_limit += 1;
    return false;
  }
  current_->lookup = *lookup;
  waitsNoMore(*current_);  // now it is the client that waits
  return true;
}

void ServerEndpoint::onAnswered(Association& association, Milliseconds now) {
  if (!association.opened) waits(association, now);
}

size_t ServerEndpoint::endSessionsOf(const Identity& identity, const Failure& failure) {
  std::vector<Association*> ending;
  for (auto& [id, association] : associations_) {
    if (association->session.identity() == identity) {
      ending.push_back(association.get());
    }
  }
  for (Association* association : ending) endWith(*association, failure);
  return ending.size();
}

void ServerEndpoint::evict(Milliseconds now) {
  for (size_t count = admission_->takeDisplaced(member_); count > 0; --count) {
    if (Association* const victim = waitingFor({}, now)) displace(*victim);
  }
  for (size_t count = admission_->takeEvictions(member_); count > 0; --count) {
    Association* const oldest = recency_.oldest();
    if (!oldest || !admission_->stale(oldest->active, now)) {
      admission_->spared();
      continue;
    }
    oldest->displaced = true;
    stats_.evictions += 1;
    endWith(*oldest,
            {.code = "MCBN_IDLE_TIMEOUT",
             .message = "nothing was sent or received for " + std::to_string(now - oldest->active) +
                        " ms, and a new session needed the place (maxSessions, evictAfter)"});
  }
}

void ServerEndpoint::onActive(Association& association) {
  if (!association.opened || !recency_.contains(association)) return;
  recency_.touch(association);
  tellSilence();
}

void ServerEndpoint::tellSilence() {
  const Association* const oldest = recency_.oldest();
  member_.silentSince(oldest ? oldest->active : kNever);
}

}  // namespace mcbn
