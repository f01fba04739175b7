// How a ServerEndpoint goes on with sessions that were another's.
#include <algorithm>
#include <utility>

#include "engine/server_endpoint.h"

namespace mcbn {

std::vector<uint32_t> ServerEndpoint::portableSessions(
    size_t most, const std::unordered_set<uint32_t>& except) const {
  std::vector<uint32_t> found;
  for (const auto& [id, association] : associations_) {
    if (found.size() == most) break;
    const bool portable = association->session.portable() && !association->unannounced;
    if (portable && !except.contains(id)) found.push_back(id);
  }
  return found;
}

ImportVerdict ServerEndpoint::importSession(SessionSeal& seal, ByteView sealed,
                                            KeyValidity validity, Milliseconds now,
                                            const RowName* row) {
  time_ = now;
  auto [fault, session] = Session::unseal(seal, sealed, *context_, options_.speaks12,
                                          options_.dtls13.get(), row ? ByteView(*row) : ByteView());
  if (!session) return {.fault = ImportFault::Sealed, .seal = fault};
  const Identity& identity = session->identity();
  const auto address = Address::fromBytes(session->peer.view());
  const auto peer = address ? address->forFamily(options_.local.family()) : std::nullopt;
  // Of another length the ID would not be found in a record; without one several sockets share the
  // port, and only the system knows which of them the peer's datagrams go to.
  const bool reachable =
      peer && peer->port() != 0 &&
      (session->ownId().empty() ? options_.threads == 1
                                : session->ownId().size() == directory_.idLength());
  if (!reachable) return {.fault = ImportFault::Elsewhere};

  const PskPolicy& policy = context_->options().psk;
  PskEntry entry;
  const auto found = policy.table ? policy.table->find(identity, entry) : KeyTable::Found::Miss;
  if (found == KeyTable::Found::Revoked) return {.fault = ImportFault::UnknownIdentity};
  if (found == KeyTable::Found::Miss && validity == KeyValidity::ByTable) {
    if (!policy.ask) return {.fault = ImportFault::UnknownIdentity};
    return {.fault = ImportFault::Ask,
            .question = {.protocol = session->of13() ? Protocol::Dtls13 : Protocol::Dtls12,
                         .identity = identity,
                         .hint = {},
                         .servername = session->names().servername},
            .peer = *peer};
  }
  const Milliseconds silence = session->silence;
  auto made = std::make_unique<Association>(
      nextSession(), *peer, *std::move(session),
      Session::Home{options_.dtls, options_.dtls13, &services_.ciphers, now});
  Association& association = *made;
  if (!admission_->arrived(hostKey(*peer))) return {.fault = ImportFault::Limit};
  if (!directory_.adopt(association)) {
    admission_->sessionEnded(hostKey(*peer), false);
    return {.fault = ImportFault::Elsewhere};
  }
  if (!ImportedSessions::ofProcess().take(sealed)) {
    directory_.leave(association);
    admission_->sessionEnded(hostKey(*peer), false);
    return {.fault = ImportFault::Sealed, .seal = SealFault::UsedBefore};
  }
  const uint32_t number = association.id;
  ImportVerdict verdict{.session = number};
  association.opened = true;
  association.unheard = link_ != nullptr;
  association.active = now - std::min(now, silence);
  associations_.emplace(association.id, std::move(made));
  stats_.sessions = associations_.size();
  enter(association);
  if (row) {
    association.row = std::make_unique<RowName>(*row);
    association.unannounced = true;
    association.session.reserve(true, options_.dtls.mtu, now);
  } else {
    verdict.opened = openedEvent(association, options_.dtls.mtu);
  }
  if (admission_->evicts()) {
    recency_.touch(association);
    tellSilence();
  }
  leave();
  if (!arrivals_.empty()) {
    if (Association* const here = find(number)) welcome(*here, now);
  }
  return verdict;
}

}  // namespace mcbn
