#include "engine/peer_mobility.h"

#include <algorithm>
#include <utility>

namespace mcbn {

void PeerMobility::heard(Association& association, const Address& from, size_t bytes,
                         Milliseconds now) {
  MCBN_ASSERT(association.opened && association.session.heardNewer());
  if (!owner_.listened()) return;
  std::unique_ptr<PeerPath>& path = association.path;
  const Address confirmed = association.confirmedAddress();
  if (from == confirmed) {  // it is back, or never was away
    if (!(from == association.peer)) moveTo(association, from);
    path.reset();
    return;
  }
  if (!path || !(from == path->to())) {
    beginPath(association, from, confirmed, now);
    if (!path->checking()) moveTo(association, from);
  }
  path->heard(bytes);
  check(association, now);
}

void PeerMobility::heardFirst(Association& association, const Address& from, size_t bytes,
                              Milliseconds now) {
  MCBN_ASSERT(association.opened);
  if (!owner_.listened()) return;
  const Address known = association.confirmedAddress();
  moveTo(association, from);
  association.path.reset();
  // Behind another node the peer is where it was; only elsewhere has somebody to be protected.
  if (std::ranges::equal(from.bytes().view(), known.bytes().view())) return;
  beginPath(association, from, known, now);
  association.path->heard(bytes);
  check(association, now);
}

// `from` is checked where both sides can.
void PeerMobility::beginPath(Association& association, const Address& from,
                             const Address& confirmed, Milliseconds now) {
  association.path = std::make_unique<PeerPath>(from, confirmed);
  const Session& session = association.session;
  if (session.returnRoutability()) association.path->beginCheck(now, session.roundTrip());
}

void PeerMobility::check(Association& association, Milliseconds now) {
  PeerPath* const path = association.path.get();
  if (!path || !path->due(now)) return;
  if (path->failed(now)) {
    // RFC 9853 section 5.1: the address is not updated.
    stats_.address_checks_failed += 1;
    const std::unique_ptr<PeerPath> failed = std::move(association.path);
    if (!(association.peer == failed->confirmed())) moveTo(association, failed->confirmed());
    return;
  }
  const auto cookie = path->nextChallenge(now);
  if (cookie && path->affords(association.session.pathMessageSize())) {
    owner_.challenge(association, *cookie);
  }
}

void PeerMobility::answered(Association& association, const Address& from,
                            const PathCookie& cookie) {
  const PeerPath* const path = association.path.get();
  if (!path || !(from == path->to()) || !path->answers(cookie)) return;
  if (!owner_.listened()) return;
  const Address to = path->to();
  believe(association);
  if (!(association.peer == to)) moveTo(association, to);
}

// Only the address that the application saw: meanwhile the peer may have named another, whose owner
// has proved nothing.
void PeerMobility::confirm(Association& association, const std::string& host, uint16_t port) {
  const PeerPath* const path = association.path.get();
  if (!path || path->checking()) return;
  if (path->to().port() == port && path->to().host() == host) believe(association);
}

// The new address is the peer's: it counts for that host from now on.
void PeerMobility::believe(Association& association) {
  const std::unique_ptr<PeerPath> path = std::move(association.path);
  admission_.moved(hostKey(path->confirmed()), hostKey(path->to()));
}

// Everything that is known by the address moves along, except for what counts by the host: a forger of
// sender addresses must not get more places by them, nor use up those of others.
void PeerMobility::moveTo(Association& association, const Address& to) {
  directory_.move(association, to);
  stats_.address_changes += 1;
  owner_.addressChanged(association);
}

}  // namespace mcbn
