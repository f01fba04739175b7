// A ClientEndpoint that speaks both versions of DTLS, until one of its two handshakes is open.
#include <algorithm>
#include <utility>

#include "engine/client_endpoint.h"

namespace mcbn {

void ClientEndpoint::chooseVersions(std::shared_ptr<const Context> context,
                                    const ClientOptions& options) {
  versions_ = std::make_unique<Versions>();
  versions_->context = std::move(context);
  versions_->options = options.dtls;
  versions_->options.falls_back = true;
  if (options.key) versions_->key.emplace(options.key->first, options.key->second.clone());
}

// What one of the two cannot use is dropped by it, as any stranger's datagram.
void ClientEndpoint::receiveByVersion(MutableBytes datagram, Milliseconds now) {
  // Before the key of DTLS 1.3 is there nothing has been said, and nothing can be an answer.
  if (association_->session.stats().datagrams_sent == 0) return leave();
  const VersionChoice::For whom = versions_->choice.route(datagram);
  Association* const older =
      association_->session.speaks13() ? versions_->older.get() : association_.get();
  Association* const newer = association_->session.speaks13() ? association_.get() : nullptr;
  if (older && whom != VersionChoice::For::Newer) {
    enter(*older);
    receiveInto(*older, datagram, now);
  }
  if (newer && whom != VersionChoice::For::Older) {
    enter(*newer);
    receiveInto(*newer, datagram, now);
  }
  leave();
}

void ClientEndpoint::expireOlder(Milliseconds now) {
  Association* const older = versions_->older.get();
  if (older && older->session.deadline() <= now) {
    enter(*older);
    older->session.expire(now, *this);
  }
  leave();
}

bool ClientEndpoint::onOpened(Association& association) {
  if (versions_) versions_->opened = &association;
  return true;
}

void ClientEndpoint::ended(const std::optional<Failure>& failure) {
  if (!versions_ || versions_->opened == current_) return Endpoint::ended(failure);
  VersionChoice& choice = versions_->choice;
  const bool newer = current_->session.speaks13();
  Failure why =
      failure.value_or(Failure{.code = "MCBN_HANDSHAKE_FAILED",
                               .message = "the server closed before the handshake was done"});
  const auto all = newer ? choice.newerFailed(std::move(why)) : choice.olderFailed(std::move(why));
  if (all) {
    Endpoint::ended(all);
    association_->ended = true;
  }
  current_->ended = true;
}

// After every call into one of the two.
void ClientEndpoint::settleVersions() {
  Versions& versions = *versions_;
  if (!versions.opened) {
    const Session& session = association_->session;
    if (!association_->ended && session.speaks13()) {
      versions.choice.repeated(session.stats().retransmits);
    }
    if (versions.choice.wantsOlder()) beginOlder();
  }
  Association* const older = versions.older.get();
  const bool remains =
      versions.opened ? versions.opened == older : association_->ended && older && !older->ended;
  if (remains) {
    association_ = std::move(versions.older);
  } else if (older && older->ended) {
    versions.older.reset();
  }
  if (!versions.opened && !association_->ended) return;
  // The other one goes without a word: its server has nothing of it, or will not.
  versions_.reset();
  speaks13_ = association_->session.speaks13();
}

void ClientEndpoint::beginOlder() {
  Versions& versions = *versions_;
  versions.choice.olderBegins();
  Milliseconds& limit = versions.options.handshake_timeout;
  if (limit != 0) limit -= std::min(limit - 1, time_ - versions.begun);
  versions.older = std::make_unique<Association>(kSession, association_->peer, versions.context,
                                                 versions.options, services_.ciphers);
  versions.older->active = time_;
  enter(*versions.older);
  if (versions.connection_id) {
    versions.older->session.useConnectionId(*std::move(versions.connection_id));
  }
  versions.older->session.connect(std::exchange(versions.key, std::nullopt), {}, time_, *this);
}

}  // namespace mcbn
