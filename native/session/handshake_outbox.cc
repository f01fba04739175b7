#include "session/handshake_outbox.h"

#include <utility>

#include "record/dtls_record.h"

namespace mcbn {

void HandshakeOutbox::datagram(ByteView bytes) {
  MCBN_ASSERT(step_);
  if (first_plaintext_) {
    ByteView rest = bytes;
    const auto first = nextRecord(rest);
    if (first && first->sequence < *first_plaintext_) ahead_ = *first_plaintext_ - first->sequence;
    first_plaintext_.reset();
  }
  if (ahead_ == 0 && !shared_) return post(bytes);
  post(renumbered(bytes));
}

void HandshakeOutbox::post(ByteView bytes) {
  for (ByteView rest = bytes; !rest.empty();) {
    const auto record = nextRecord(rest);
    if (!record) break;
    (record->epoch == 0 ? plaintext_sequence_ : encrypted_sequence_) = record->sequence + 1;
  }
  if (!ids_.toPeer()) return emit(bytes);
  ids_.outgoing(bytes, mtu_, [this](ByteView replaced) { emit(replaced); });
}

uint64_t HandshakeOutbox::wireNumber(const DtlsRecord& record) {
  if (record.epoch > 0) return record.sequence;
  if (!shared_) return record.sequence + ahead_;
  drawn_.push_back(*shared_);
  return (*shared_)++;
}

Bytes HandshakeOutbox::renumbered(ByteView datagram) {
  Bytes moved;
  while (const auto record = nextRecord(datagram)) {
    const Bytes own = withSequence(*record, wireNumber(*record));
    moved.insert(moved.end(), own.begin(), own.end());
  }
  return moved;
}

void HandshakeOutbox::emit(ByteView bytes) {
  if (std::exchange(flight_ends_, false)) last_flight_.clear();
  last_flight_.emplace_back(bytes.begin(), bytes.end());
  step_->countDatagram(bytes.size());
  step_->sink.datagram(bytes);
}

void HandshakeOutbox::sendAgain(const std::vector<Bytes>& flight) {
  for (const Bytes& sent : flight) {
    step_->countDatagram(sent.size());
    step_->sink.datagram(sent);
  }
}

std::vector<Bytes> HandshakeOutbox::takeLastFlight() {
  return role_ == Role::Server ? std::move(last_flight_) : std::vector<Bytes>();
}

void HandshakeOutbox::sendAlert(uint8_t level, uint8_t description) {
  post(plaintextAlert(kDtls12, plaintext_sequence_, level, description));
}

void HandshakeOutbox::sendGoodbye() {
  Bytes goodbye;
  for (const uint8_t description : {alert::kUserCanceled, alert::kCloseNotify}) {
    const Bytes record =
        plaintextAlert(kDtls12, plaintext_sequence_++, alert::kWarning, description);
    goodbye.insert(goodbye.end(), record.begin(), record.end());
  }
  post(goodbye);
}

}  // namespace mcbn
