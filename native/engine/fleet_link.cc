#include "engine/fleet_link.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"

namespace mcbn {
namespace {

// As much as a batch of clients' datagrams.
constexpr size_t kTakenPerTurn = 1'024;
// Of one queue; more is sent before the batch's end.
constexpr size_t kMostQueued = 1 << 20;

}  // namespace

FleetLink::FleetLink(std::shared_ptr<FleetDirectory> directory, FleetLinkOptions options,
                     EndpointStats& stats, Owner& owner)
    : directory_(std::move(directory)),
      options_(std::move(options)),
      stats_(stats),
      owner_(owner),
      sealer_(directory_->key(), directory_->node()),
      opener_(directory_->key()),
      allowance_(options_.most_forwards / 10) {
  if (options_.thread_index == 0) next_announcement_ = 0;
}

SystemError FleetLink::open(const std::shared_ptr<ReceiveSlab>& slab) {
  if (!sealer_.usable()) return {.code = EIO, .call = "AES-256-GCM"};
  const bool first = options_.thread_index == 0, alone = options_.threads <= 1;
  UdpOptions udp = options_.udp;
  udp.slab = slab;
  udp.reusePort = !first;
  if (const SystemError error = socket_.open(first ? options_.local : directory_->bound(), udp)) {
    return error;
  }
  if (first) directory_->setBound(socket_.localAddress());
  // Without groups there is one thread.
  if (first && !alone) (void)socket_.beginGroup();
  if (!alone && options_.thread_index + 1 == options_.threads) {
    const SteeredForm forwarded{forwarding::kFormat, forwarding::kThreadOffset};
    socket_.steerGroup({&forwarded, 1});
  }
  return {};
}

// ---- sending -----------------------------------------------------------------------------------

bool FleetLink::affordable(Milliseconds now) {
  const uint64_t most = std::max<uint64_t>(options_.most_forwards / 10, 1);
  if (now > counted_) {
    const Milliseconds passed = std::min<Milliseconds>(now - counted_, 100);
    const uint64_t earned = options_.most_forwards * passed / 1'000;
    // Rates below one a millisecond add up.
    if (earned > 0) {
      allowance_ = std::min(most, allowance_ + earned);
      counted_ = now;
    }
  }
  if (allowance_ == 0) return false;
  allowance_ -= 1;
  return true;
}

bool FleetLink::forward(NodeIds& ids, ByteView id, const Address& from, ByteView datagram,
                        Milliseconds now) {
  const auto node = ids.nodeOf(id);
  if (!node || directory_->owns(*node)) return false;
  const auto to = directory_->find(*node, now);
  if (!to) {
    stats_.dropped_unknown_node += 1;
    return true;
  }
  if (!affordable(now)) {
    stats_.dropped_forward_limit += 1;
    return true;
  }
  const auto thread = static_cast<uint8_t>(id[0] & NodeIdForm::kThreadMask);
  const AddressBytes address = from.unmapped().bytes();
  const ForwardHeader header{
      .kind = ForwardKind::ToOwner, .thread = thread, .to = *node, .from = 0};
  if (put(*to, header, address.view(), datagram)) stats_.forwarded += 1;
  return true;
}

void FleetLink::answer(const Address& client, ByteView datagram) {
  MCBN_ASSERT(client.relay());
  const auto relay = relays_.find(*client.relay());
  if (relay == relays_.end()) {
    stats_.dropped_unknown_node += 1;
    return;
  }
  const AddressBytes address = client.bytes();
  const ForwardHeader header{.kind = ForwardKind::ToClient,
                             .thread = static_cast<uint8_t>(options_.thread_index),
                             .to = relay->second.node,
                             .from = 0};
  if (put(relay->second.at, header, address.view(), datagram)) stats_.answers_forwarded += 1;
}

bool FleetLink::put(const Address& to, const ForwardHeader& header, ByteView address,
                    ByteView content) {
  Queue& queue = queueOf(to);
  const size_t length = sealer_.seal(header, address, content, wallSeconds(), queue.bytes);
  if (length == 0) {
    stats_.dropped_forward_sends += 1;
    return false;
  }
  queue.lengths.push_back(length);
  if (queue.bytes.size() > kMostQueued) flush();
  return true;
}

FleetLink::Queue& FleetLink::queueOf(const Address& to) {
  const auto found = std::ranges::find(queues_, to, &Queue::to);
  if (found != queues_.end()) return *found;
  queues_.push_back({to, {}, {}});
  return queues_.back();
}

void FleetLink::flush() {
  for (Queue& queue : queues_) {
    batch_.clear();
    size_t at = 0;
    for (const size_t length : queue.lengths) {
      batch_.push_back({ByteView(queue.bytes).subspan(at, length), &queue.to});
      at += length;
    }
    for (std::span<const OutgoingDatagram> rest = batch_; !rest.empty();) {
      const SendResult result = socket_.sendBatch(rest);
      rest = rest.subspan(result.sent);
      if (result.status == IoStatus::Ok) continue;
      const size_t lost = result.status == IoStatus::Again ? rest.size() : 1;
      stats_.dropped_forward_sends += lost;
      rest = rest.subspan(lost);
    }
    queue.bytes.clear();
    queue.lengths.clear();
  }
  // Nodes come and go.
  if (queues_.size() > FleetDirectory::kMostClaims) queues_.clear();
}

// ---- receiving ---------------------------------------------------------------------------------

void FleetLink::receive(Milliseconds now) {
  for (size_t taken = 0; taken < kTakenPerTurn;) {
    const ReceiveResult result = socket_.receiveBatch();
    if (result.status != IoStatus::Ok) break;
    taken += result.datagrams.size();
    for (const ReceivedDatagram& received : result.datagrams) take(received, now);
    if (!result.more) break;
  }
  flush();
}

void FleetLink::take(const ReceivedDatagram& received, Milliseconds now) {
  using Fault = ForwardOpener::Fault;
  const auto opened =
      received.truncated ? ForwardOpener::Opened() : opener_.open(received.datagram, wallSeconds());
  switch (opened.fault) {
    case Fault::Forged:
      stats_.dropped_forward_forged += 1;
      return;
    case Fault::Replayed:
      stats_.dropped_forward_replayed += 1;
      return;
    case Fault::Stale:
      stats_.dropped_forward_stale += 1;
      return;
    case Fault::None:
      break;
  }
  const bool told = opened.header.kind == ForwardKind::Announcement ||
                    opened.header.kind == ForwardKind::Question;
  if (told) return hear(received, opened, now);
  const bool to_owner = opened.header.kind == ForwardKind::ToOwner;
  // An answer is for the process that heard the client, though its node ID may be another's now. A
  // session may still be here when another has claimed its node ID.
  const bool ours = to_owner || opened.header.to == directory_->node();
  const auto client = Address::fromBytes(opened.address);
  if (!ours || !client || client->port() == 0 || opened.content.empty()) {
    stats_.dropped_forward_misdirected += 1;
    return;
  }
  if (to_owner) {
    stats_.received_forwarded += 1;
    const uint32_t relay = relayAt(received.from, opened.header.from, now);
    owner_.arrived(client->behind(relay), opened.content, now);
  } else {
    stats_.answers_relayed += 1;
    owner_.sendOut(*client, opened.content);
  }
}

uint32_t FleetLink::relayAt(const Address& at, uint32_t node, Milliseconds now) {
  const auto found = std::ranges::find_if(relays_, [&](const auto& entry) {
    return entry.second.at == at && entry.second.node == node;
  });
  if (found != relays_.end()) {
    found->second.heard = now;
    return found->first;
  }
  if (relays_.size() == kMostRelays) {
    relays_.erase(std::ranges::min_element(relays_, {},
                                           [](const auto& entry) { return entry.second.heard; }));
  }
  relays_[++last_relay_] = {at, node, now};
  return last_relay_;
}

// ---- who has what --------------------------------------------------------------------------------

void FleetLink::hear(const ReceivedDatagram& received, const ForwardOpener::Opened& opened,
                     Milliseconds now) {
  // The application's list of members may have this node as well.
  if (std::ranges::equal(opened.sender, sealer_.sender())) return;
  std::vector<NodeClaim> claims;
  Reader in(opened.content);
  while (!in.empty() && claims.size() < FleetDirectory::kMostClaims) {
    NodeClaim claim{};
    if (!in.u32(claim.node) || !in.u48(claim.since) || claim.node == UINT32_MAX) break;
    claims.push_back(claim);
  }
  const bool fresh = directory_->heard(received.from, claims, uint64_t{opened.time} * 1'000, now);
  if (fresh || opened.header.kind == ForwardKind::Question) {
    announceTo(received.from, ForwardKind::Announcement);
  }
}

void FleetLink::announceTo(const Address& to, ForwardKind kind) {
  Bytes content;
  Writer out(content);
  for (const NodeClaim& claim : directory_->claims()) out.u32(claim.node).u48(claim.since);
  const auto native = to.forFamily(options_.local.family());
  if (native) put(*native, {.kind = kind, .thread = 0, .to = 0, .from = 0}, {}, content);
}

void FleetLink::announce(ForwardKind kind, Milliseconds now) {
  for (const Address& to : directory_->audience(now)) announceTo(to, kind);
  flush();
  next_announcement_ = now + kAnnounceEvery;
}

void FleetLink::expire(Milliseconds now) {
  if (next_announcement_ > now) return;
  announce(next_announcement_ == 0 ? ForwardKind::Question : ForwardKind::Announcement, now);
}

}  // namespace mcbn
