#include "engine/client_endpoint.h"

#include <openssl/rand.h>

#include <algorithm>

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
      association_(options_->session
                       ? Association(kSession, options_->remote,
                                     std::move(options_->session->state), services.ciphers)
                       : Association(kSession, options_->remote, std::move(context), options_->dtls,
                                     services.ciphers)) {}

SystemError ClientEndpoint::open() {
  const ClientOptions& options = *options_;
  Address local = options.local;
  if (!local) local = *Address::parse(options.remote.isIpv6() ? "::" : "0.0.0.0", 0);
  if (const SystemError error = socket_.open(local, options.udp)) return error;
  return socket_.connect(options.remote);
}

void ClientEndpoint::start(Milliseconds now) {
  enter(association_);
  association_.active = now;
  stats_.sessions = 1;
  if (!options_->session) stats_.handshakes_started += 1;
  if (const SystemError error = watch()) {
    unreachable(error);
  } else if (options_->session) {
    association_.opened = true;
    association_.session.announce(options_->dtls.mtu, *this);
  } else {
    if (const auto length = options_->dtls.connection_id) {
      Bytes id(*length);
      if (RAND_bytes(id.data(), static_cast<int>(id.size())) == 1) {
        association_.session.useConnectionId(std::move(id));
      }
    }
    association_.session.connect(std::move(options_->key), now, *this);
  }
  options_.reset();
  leave();
}

void ClientEndpoint::receive(Milliseconds now) {
  for (size_t taken = 0; taken < kDatagramsPerTurn;) {
    const ReceiveResult result = socket_.receiveBatch();
    taken += result.datagrams.size();
    if (result.status == IoStatus::Again) return;
    if (result.status == IoStatus::Error) return unreachable(result.error);
    enter(association_);
    const size_t id_length = association_.session.ownConnectionId().size();
    for (auto rest = result.datagrams; !rest.empty();) {
      const size_t train =
          association_.opened && !association_.ended ? trainLength(rest, id_length) : 0;
      if (train > 1) {
        receiveTrain(association_, rest.first(train), now);
        rest = rest.subspan(train);
        continue;
      }
      const ReceivedDatagram& received = rest.front();
      rest = rest.subspan(1);
      stats_.datagrams_received += 1;
      stats_.bytes_received += received.datagram.size();
      if (association_.ended) continue;
      if (received.datagram.empty() || received.truncated) {
        dropped(DropReason::Malformed);
        continue;
      }
      receiveInto(association_, received.datagram, now);
    }
    leave();
    if (!result.more) return;
  }
}

void ClientEndpoint::expire(Milliseconds now) {
  if (association_.ended) return;
  enter(association_);
  if (association_.session.deadline() <= now) association_.session.expire(now, *this);
  if (!association_.ended && idleDeadline() <= now) {
    association_.session.close(*this);
    ended(Failure{.code = "MCBN_IDLE_TIMEOUT",
                  .message = "nothing was sent or received for " + std::to_string(idle_timeout_) +
                             " ms (idleTimeout)"});
  }
  leave();
}

Milliseconds ClientEndpoint::idleDeadline() const {
  const bool counts = idle_timeout_ > 0 && association_.opened;
  return counts ? association_.active + idle_timeout_ : kNever;
}

Milliseconds ClientEndpoint::deadline() const {
  if (association_.ended) return kNever;
  return std::min(association_.session.deadline(), idleDeadline());
}

Association* ClientEndpoint::find(uint32_t session) {
  return session == kSession && !association_.ended ? &association_ : nullptr;
}

void ClientEndpoint::closeAll(Goodbye goodbye) {
  if (goodbye == Goodbye::Yes) closeSession(kSession);
  association_.ended = true;
}

void ClientEndpoint::leave() {
  if (association_.ended) stats_.sessions = 0;
  current_ = nullptr;
}

void ClientEndpoint::onSendError(const SystemError& error) { unreachable(error); }

// The network says that nobody is there. Believed until somebody has answered: later an ICMP
// message is just one more lost datagram.
void ClientEndpoint::unreachable(const SystemError& error) {
  if (association_.ended || association_.opened || stats_.datagrams_received > 0) return;
  Association* const outer = current_;
  enter(association_);
  association_.session.close(*this);
  ended(Failure{.code = "MCBN_CONNECTION_FAILED",
                .message = "no answer from " + association_.peer.text() + " (" + error.name() +
                           "); is the server running?",
                .reason = error.text()});
  current_ = outer;
}

}  // namespace mcbn
