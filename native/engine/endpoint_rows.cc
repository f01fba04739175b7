// What an Endpoint tells a session store, so that its sessions outlive the process: docs/SESSIONS.md.
#include <openssl/rand.h>

#include <algorithm>
#include <utility>

#include "engine/endpoint.h"

namespace mcbn {

void Endpoint::keepRows(std::unique_ptr<SessionSeal> seal, size_t mtu, Bytes prefix) {
  MCBN_ASSERT(prefix.size() < std::tuple_size_v<RowName>);
  row_seal_ = std::move(seal);
  row_mtu_ = mtu;
  row_prefix_ = std::move(prefix);
}

void Endpoint::keepRow(Association& association) {
  Session& session = association.session;
  if (!association.opened || !session.portable()) return;  // not yet, or never
  const bool first = !association.row;
  if (first) {
    auto name = std::make_unique<RowName>();
    const size_t given = row_prefix_.size();
    std::ranges::copy(row_prefix_, name->begin());
    if (RAND_bytes(name->data() + given, static_cast<int>(name->size() - given)) != 1) return;
    association.row = std::move(name);
    session.reserve(false, row_mtu_, time_);
  }
  if (!session.rowDue(time_)) return;
  // Without its first row a crash would take the session away.
  const bool awaited = first || association.unannounced || session.rowAwaited();
  RowEvent row{*association.row, {}};
  const Milliseconds silence = time_ - std::min(time_, association.active);
  const AddressBytes peer = association.confirmedAddress().unmapped().bytes();
  // A server knows a client without a connection ID by the address that it sends from.
  const bool bound = socket_.connected() && session.peerConnectionId().empty();
  const AddressBytes local = bound ? localAddress().unmapped().bytes() : AddressBytes();
  // Without a row its numbers end where they end: nothing is used twice.
  if (!row_seal_->seal({session.row(time_), peer, silence, local}, row.sealed, row.name)) return;
  report(EventKind::Row, std::move(row));
  events_.filling().rows.back().b = awaited ? 1 : 0;
}

void Endpoint::forgetRow(const Association& association) {
  if (!association.row) return;
  events_.filling().add(EventKind::Row, id_, association.id, RowEvent{*association.row, {}});
}

void Endpoint::rowsWritten(std::span<const uint32_t> sessions, Milliseconds now) {
  time_ = now;
  for (const uint32_t number : sessions) {
    Association* const association = find(number);
    if (!association || association->ended || !association->row) continue;
    enter(*association);
    if (association->unannounced) restored(*association);
    const uint64_t messages = association->session.stats().messages_received;
    association->session.rowWritten(now, *this);
    if (association->session.stats().messages_received != messages) touch(*association, now);
    leave();
  }
}

void Endpoint::restored(Association& association) {
  association.unannounced = false;
  report(EventKind::Opened, openedEvent(association, row_mtu_));
}

std::optional<RowEvent> Endpoint::takeRow(uint32_t session, Milliseconds now) {
  Association* const association = find(session);
  if (!association || !association->row) return std::nullopt;
  // The row stays in the store: leave() must not have it removed.
  const auto name = std::move(association->row);
  RowEvent row{*name, {}};
  if (!takeAway(*association, *row_seal_, name.get(), now, row.sealed)) return std::nullopt;
  return row;
}

}  // namespace mcbn
