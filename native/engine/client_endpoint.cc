#include "engine/client_endpoint.h"

#include <openssl/rand.h>

#include <algorithm>

#include "base/clock.h"

namespace mcbn {
namespace {

// Then deadlines, tasks and others have their turn. A batch may be 4,096 of them (UDP_GRO).
constexpr size_t kDatagramsPerTurn = 2'048;

}  // namespace

ClientEndpoint::ClientEndpoint(uint32_t id, IoServices& services,
                               std::shared_ptr<const Context> context, ClientOptions options)
    : Endpoint(id, services),
      idle_timeout_(options.idle_timeout),
      options_(std::make_unique<ClientOptions>(std::move(options))),
      association_(begun(context, *options_, services.ciphers)) {
  speaks13_ = association_->session.speaks13();
  if (options_->falls_back && !options_->session) chooseVersions(std::move(context), *options_);
  if (options_->row_key.empty()) return;
  keepRows(std::make_unique<SessionSeal>(options_->row_key), options_->dtls.mtu,
           std::move(options_->row_prefix));
  OPENSSL_cleanse(options_->row_key.data(), options_->row_key.size());
}

std::unique_ptr<Association> ClientEndpoint::begun(std::shared_ptr<const Context> context,
                                                   ClientOptions& options,
                                                   CipherContexts& ciphers) {
  if (options.session) {
    return std::make_unique<Association>(
        kSession, options.remote, std::move(*options.session),
        Session::Home{options.dtls, options.dtls13, &ciphers, monotonicMilliseconds()});
  }
  if (options.dtls13) {
    return std::make_unique<Association>(kSession, options.remote, Role::Client, options.dtls13,
                                         options.dtls);
  }
  return std::make_unique<Association>(kSession, options.remote, std::move(context), options.dtls,
                                       ciphers);
}

SystemError ClientEndpoint::open() {
  const ClientOptions& options = *options_;
  Address local = options.local;
  if (!local) local = *Address::parse(options.remote.isIpv6() ? "::" : "0.0.0.0", 0);
  if (const SystemError error = socket_.open(local, options.udp)) return error;
  return socket_.connect(options.remote);
}

void ClientEndpoint::start(Milliseconds now) {
  time_ = now;
  enter(*association_);
  association_->active = now;
  stats_.sessions = 1;
  if (!options_->session) stats_.handshakes_started += 1;
  if (const SystemError error = watch()) {
    unreachable(error);
  } else if (options_->session) {
    association_->opened = true;
    if (options_->row) {
      association_->row = std::move(options_->row);
      association_->unannounced = true;
      association_->session.reserve(true, options_->dtls.mtu, now);
    } else {
      report(EventKind::Opened, openedEvent(*association_, options_->dtls.mtu));
    }
  } else {
    if (const auto length = options_->dtls.connection_id) {
      Bytes id(*length);
      if (RAND_bytes(id.data(), static_cast<int>(id.size())) == 1) {
        if (versions_) versions_->connection_id = id;
        association_->session.useConnectionId(std::move(id));
      }
    }
    if (versions_) versions_->begun = now;
    association_->session.connect(std::move(options_->key), std::move(options_->other_keys), now,
                                  *this);
  }
  options_.reset();
  leave();
}

void ClientEndpoint::receive(Milliseconds now) {
  time_ = now;
  for (size_t taken = 0; taken < kDatagramsPerTurn;) {
    const ReceiveResult result = socket_.receiveBatch();
    taken += result.datagrams.size();
    if (result.status == IoStatus::Again) return;
    if (result.status == IoStatus::Error) return unreachable(result.error);
    enter(*association_);
    const size_t id_length = association_->session.ownConnectionId().size();
    for (auto rest = result.datagrams; !rest.empty();) {
      const size_t train =
          association_->opened && !association_->ended ? trainLength(rest, id_length) : 0;
      if (train > 1) {
        receiveTrain(*association_, rest.first(train), now);
        rest = rest.subspan(train);
        continue;
      }
      const ReceivedDatagram& received = rest.front();
      rest = rest.subspan(1);
      stats_.datagrams_received += 1;
      stats_.bytes_received += received.datagram.size();
      if (association_->ended) continue;
      if (received.datagram.empty() || received.truncated) {
        dropped(DropReason::Malformed);
        continue;
      }
      if (versions_) {
        receiveByVersion(received.datagram, now);
        enter(*association_);
      } else {
        receiveInto(*association_, received.datagram, now);
      }
    }
    leave();
    if (!result.more) return;
  }
}

void ClientEndpoint::expire(Milliseconds now) {
  if (association_->ended) return;
  time_ = now;
  enter(*association_);
  if (association_->session.deadline() <= now) association_->session.expire(now, *this);
  if (versions_) return expireOlder(now);
  checkServer(now);
  if (!association_->ended && idleDeadline() <= now) {
    association_->session.close(*this);
    ended(Failure{.code = "MCBN_IDLE_TIMEOUT",
                  .message = "nothing was sent or received for " + std::to_string(idle_timeout_) +
                             " ms (idleTimeout)"});
  }
  leave();
}

Milliseconds ClientEndpoint::idleDeadline() const {
  const bool counts = idle_timeout_ > 0 && association_->opened;
  return counts ? association_->active + idle_timeout_ : kNever;
}

Milliseconds ClientEndpoint::deadline() const {
  if (association_->ended) return kNever;
  const Milliseconds check = check_ ? check_->deadline() : kNever;
  const Milliseconds older =
      versions_ && versions_->older ? versions_->older->session.deadline() : kNever;
  return std::min({association_->session.deadline(), association_->session.rowDeadline(), check,
                   idleDeadline(), older});
}

Association* ClientEndpoint::find(uint32_t session) {
  // DTLS 1.3's handshake asks for its key before there is another one.
  if (versions_ && versions_->older && session == kSession) return versions_->older.get();
  return session == kSession && !association_->ended ? association_.get() : nullptr;
}

void ClientEndpoint::closeSession(uint32_t session) {
  if (session != kSession) return;
  // Both handshakes are this one session's: none may go on.
  const auto versions = std::move(versions_);
  if (versions && versions->older) {
    enter(*versions->older);
    versions->older->session.close(*this);
    leave();
  }
  Endpoint::closeSession(session);
}

void ClientEndpoint::closeAll(Goodbye goodbye) {
  if (goodbye == Goodbye::Yes) closeSession(kSession);
  versions_.reset();
  association_->ended = true;
  leave();
}

void ClientEndpoint::setKeylog(bool on) {
  association_->session.setKeylog(on);
  if (!versions_) return;
  versions_->options.keylog = on;
  if (versions_->older) versions_->older->session.setKeylog(on);
}

void ClientEndpoint::leave() {
  if (versions_) settleVersions();
  if (keepsRows() && !association_->ended) keepRow(*association_);
  if (association_->ended) stats_.sessions = 0;
  current_ = nullptr;
}

// ---- a session that came from a row ------------------------------------------------------------

void ClientEndpoint::restored(Association& association) {
  if (!association.session.returnRoutability()) return Endpoint::restored(association);
  if (check_) return;
  check_ = std::make_unique<PeerPath>(association.peer, association.peer);
  check_->beginCheck(time_, association.session.roundTrip());
}

void ClientEndpoint::checkServer(Milliseconds now) {
  if (!check_ || association_->ended || !check_->due(now)) return;
  if (check_->failed(now)) {
    association_->session.close(*this);
    return ended(Failure{.code = "MCBN_CONNECTION_LOST",
                         .message = "the server does not know the session any more, or did not "
                                    "answer in time"});
  }
  const auto cookie = check_->nextChallenge(now);
  if (cookie) association_->session.challengePath(*cookie, *this);
}

void ClientEndpoint::answered() {
  if (!check_) return;
  check_.reset();
  Endpoint::restored(*association_);
}

void ClientEndpoint::pathResponse(const PathCookie& cookie) {
  if (check_ && check_->answers(cookie)) answered();
}

// Whatever is authentic shows that the server has the session.
void ClientEndpoint::commitMessage(size_t length) {
  answered();
  Endpoint::commitMessage(length);
}

// So does, most likely, a record that counts as seen because the row was ahead of it: the answers of
// a server are such records until their numbers have passed the row's.
void ClientEndpoint::dropped(DropReason reason) {
  Endpoint::dropped(reason);
  if (reason == DropReason::Replayed && !association_->ended) answered();
}

void ClientEndpoint::onSendError(const SystemError& error) { unreachable(error); }

// The network says that nobody is there. Believed until somebody has answered: later an ICMP
// message is just one more lost datagram.
void ClientEndpoint::unreachable(const SystemError& error) {
  const bool open = association_->opened && !association_->unannounced;
  if (association_->ended || open || stats_.datagrams_received > 0) return;
  versions_.reset();
  enter(*association_);
  association_->session.close(*this);
  ended(Failure{.code = "MCBN_CONNECTION_FAILED",
                .message = "no answer from " + association_->peer.text() + " (" + error.name() +
                           "); is the server running?",
                .reason = error.text()});
  leave();
}

}  // namespace mcbn
