// How a Dtls13Session goes on elsewhere, and what a session store is told of it: docs/SESSIONS.md.
#include <algorithm>

#include "dtls13/dtls13_session.h"
#include "dtls13/record_epochs.h"
#include "record/dtls_record.h"

namespace mcbn::dtls13 {

Dtls13Session::Dtls13Session(const OpenState13& state, std::shared_ptr<const Settings> settings,
                             const DtlsOptions& options, Milliseconds now)
    : role_(state.role),
      settings_(std::move(settings)),
      options_(options),
      state_(State::Open),
      messages_(state.role, options) {
  messages_.resume(state, now);
  phase_.emplace<OpenAssociation>(state, messages_, settings_->key_update_interval, now);
}

SealFault Dtls13Session::faultOf(const OpenState13& state, const Settings& settings) {
  const Suite* const suite = suiteOf(state.suite);
  if (!suite ||
      std::ranges::find(settings.suites, state.suite, &Suite::id) == settings.suites.end()) {
    return SealFault::Suite;
  }
  const auto ours = [](const WaitingMessage& message) {
    switch (message.type) {
      case message_type::kKeyUpdate:
      case message_type::kRequestConnectionId:
        return message.body.size() == 1;
      default:
        return message.type == message_type::kNewConnectionId;
    }
  };
  // Behind the one under way each is there once, see OpenAssociation::enqueue().
  const auto once = [&](const WaitingMessage& message) {
    const auto queue = std::span(state.messages).subspan(state.under_way ? 1 : 0);
    return std::ranges::count(queue, message.type, &WaitingMessage::type) <= 1;
  };
  const bool fits = state.exporter.size() == hashBytes(suite->hash) &&
                    (!state.under_way || !state.messages.empty()) &&
                    std::ranges::all_of(state.messages, ours) &&
                    std::ranges::all_of(state.messages, once);
  return fits ? SealFault::None : SealFault::Malformed;
}

bool Dtls13Session::portable() const {
  const bool finished = role_ == Role::Server || !records().reads(2);
  return open() && finished && messages_.whole();
}

std::optional<OpenState13> Dtls13Session::takeState(Milliseconds now) {
  if (!portable()) return std::nullopt;
  state_ = State::Ended;
  return association()->save(messages_, now);
}

void Dtls13Session::reserve(bool from_row, size_t mtu, Milliseconds now) {
  reservation_ = std::make_unique<Reservation>(association()->position(messages_), from_row,
                                               maxMessage(mtu) / 16 + 3, now, Reservation::kOf13);
  messages_.records().limitNumbers(reservation_->granted());
  in_row_ = messages_.changes();
  messages_.setStored(in_row_);
}

bool Dtls13Session::rowDue(Milliseconds now) {
  if (!reservation_ || !portable()) return false;
  if (messages_.changes() != in_row_) reservation_->want();
  const RecordPosition at = association()->position(messages_);
  return reservation_->due(at.next_write, at.newest_read, now);
}

// A message of the handshake, new keys, or a peer that is heard.
bool Dtls13Session::rowAwaited() const {
  return reservation_ && open() &&
         (reservation_->holds() || !messages_.mayTell() ||
          messages_.epoch() != association()->writeEpoch() ||
          reservation_->presses(association()->position(messages_).next_write));
}

OpenState13 Dtls13Session::row(Milliseconds now) {
  MCBN_ASSERT(reservation_ && portable());
  OpenState13 state = association()->save(messages_, now);
  const RecordPosition resumed = reservation_->propose(association()->position(messages_), now);
  messages_.records().limitNumbers(reservation_->granted());
  in_row_ = messages_.changes();
  // What is reserved ahead ends with the epoch.
  const auto within = [](uint64_t number, uint64_t epoch) {
    return std::min(number - numberOf({epoch, 0}), kSequences);
  };
  state.write.next = within(resumed.next_write, state.write.epoch);
  state.write.used = resumed.blocks;
  state.read.next = within(resumed.newest_read + 1, state.read.epoch);
  state.read.seen = resumed.seen;
  // Its numbers are not reserved any more: of what must not be taken twice all counts as seen.
  if (state.older) state.older->closed = true;
  return state;
}

void Dtls13Session::rowWritten(Milliseconds now, SessionSink& sink) {
  if (!reservation_ || !open()) return;
  SessionStep step(sink, stats_, now);
  reservation_->grant();
  messages_.records().limitNumbers(reservation_->granted());
  messages_.setStored(in_row_);
  for (HeldRecord& held : reservation_->takeHeld()) {
    if (step.ended) return;
    const RecordNumber number = recordOf(held.sequence);
    if (messages_.records().admitHeld(number)) {
      take({.number = number, .type = held.type, .content = held.fragment, .connection_id = {}},
           step);
    }
  }
  reportDrops(step);
  if (step.ended) return;
  messages_.tell(step);
  follow(opened()->proceed(messages_, step), step);
}

bool Dtls13Session::hold(const OpenedRecord& record) {
  return reservation_ && reservation_->hold({numberOf(record.number),
                                             record.type,
                                             {record.content.begin(), record.content.end()}});
}

}  // namespace mcbn::dtls13
