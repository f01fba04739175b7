#include "session/handshake_outbox.h"

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
  if (ahead_ == 0) return post(bytes);
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

Bytes HandshakeOutbox::renumbered(ByteView datagram) const {
  Bytes moved;
  while (const auto record = nextRecord(datagram)) {
    const Bytes own = withSequence(*record, record->sequence + (record->epoch == 0 ? ahead_ : 0));
    moved.insert(moved.end(), own.begin(), own.end());
  }
  return moved;
}

void HandshakeOutbox::emit(ByteView bytes) {
  if (role_ == Role::Server) last_flight_.emplace_back(bytes.begin(), bytes.end());
  if (keeps_first_) first_flight_.emplace_back(bytes.begin(), bytes.end());
  step_->countDatagram(bytes.size());
  step_->sink.datagram(bytes);
}

void HandshakeOutbox::sendFirstFlightAgain() {
  MCBN_ASSERT(!keeps_first_);
  for (const Bytes& sent : first_flight_) emit(sent);
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
