#include "session/handshake_outbox.h"

#include "record/dtls_record.h"

namespace mcbn {

void HandshakeOutbox::datagram(ByteView bytes) {
  MCBN_ASSERT(step_);
  for (ByteView rest = bytes; !rest.empty();) {
    const auto record = nextRecord(rest);
    if (!record) break;
    (record->epoch == 0 ? plaintext_sequence_ : encrypted_sequence_) = record->sequence + 1;
  }
  if (!ids_.toPeer()) return emit(bytes);
  ids_.outgoing(bytes, mtu_, [this](ByteView replaced) { emit(replaced); });
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
  datagram(plaintextAlert(kDtls12, plaintext_sequence_, level, description));
}

void HandshakeOutbox::sendGoodbye() {
  Bytes goodbye;
  for (const uint8_t description : {alert::kUserCanceled, alert::kCloseNotify}) {
    const Bytes record =
        plaintextAlert(kDtls12, plaintext_sequence_++, alert::kWarning, description);
    goodbye.insert(goodbye.end(), record.begin(), record.end());
  }
  datagram(goodbye);
}

}  // namespace mcbn
