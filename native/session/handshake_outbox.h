// handshake_outbox.h: what a handshake sends, on its way from OpenSSL to the sink.
//
//   SSL --datagram()--> [ numbers, connection IDs ] --> sink; the last flight is kept
//
// Ownership   a DtlsHandshake has one; it borrows the HandshakeIds and the step in progress.
// Thread      the session's.
// Reentrancy  datagram() is called while OpenSSL is on the stack.
// Spec        RFC 6347 sections 4.1 (numbers) and 4.2.4 (the last flight), RFC 9146 section 3
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "session/handshake_ids.h"
#include "session/session_sink.h"

namespace mcbn {

class HandshakeOutbox final : public DatagramSink {
 public:
  // `mtu`: bytes of UDP payload.
  HandshakeOutbox(Role role, size_t mtu, HandshakeIds& ids) : role_(role), mtu_(mtu), ids_(ids) {}

  // The number of the first record in the clear. A server's is that of the ClientHello: OpenSSL 3.0 does
  // so; 3.2 to 4.0 begin with 1, the number of a HelloVerifyRequest the client may have seen
  // (RFC 6347 section 4.2.1).
  void beginAt(uint64_t sequence) { first_plaintext_ = sequence; }
  // From now on records in the clear have the next of these numbers, which another handshake with the same
  // peer takes from, too: a peer takes what is numbered below what it has seen for a replay.
  void shareNumbers(std::shared_ptr<uint64_t> next) { shared_ = std::move(next); }
  const std::shared_ptr<uint64_t>& sharedNumbers() const { return shared_; }
  // Whether this handshake has sent a record in the clear under this one of the shared numbers.
  bool sentInClear(uint64_t sequence) const {
    return std::find(drawn_.begin(), drawn_.end(), sequence) != drawn_.end();
  }
  // Around every call into OpenSSL; null: nothing is sent.
  void use(SessionStep* step) { step_ = step; }

  void datagram(ByteView bytes) override;
  // In the clear.
  void sendAlert(uint8_t level, uint8_t description);
  // user_canceled and close_notify in one datagram, in the clear.
  void sendGoodbye();

  // The next free record number of epoch 1.
  uint64_t nextEncrypted() const { return encrypted_sequence_; }
  // What is sent from now on is another flight, or the same written anew.
  void beginFlight() { flight_ends_ = true; }
  // A client's first flight is out: it is kept beside those to come.
  void keepFirstFlight() {
    if (first_flight_.empty()) first_flight_ = last_flight_;
  }
  // As they were sent, under the same numbers.
  void sendFirstFlightAgain() { sendAgain(first_flight_); }
  void sendLastFlightAgain() { sendAgain(last_flight_); }
  // A server's, for the open session.
  std::vector<Bytes> takeLastFlight();

 private:
  // The records of epoch 0 under their numbers on the wire.
  Bytes renumbered(ByteView datagram);
  uint64_t wireNumber(const DtlsRecord& record);
  // Under the numbers of the wire: counts, writes connection IDs, sends.
  void post(ByteView bytes);
  void emit(ByteView bytes);
  void sendAgain(const std::vector<Bytes>& flight);

  const Role role_;
  const size_t mtu_;
  HandshakeIds& ids_;
  SessionStep* step_ = nullptr;
  std::vector<Bytes> last_flight_;
  bool flight_ends_ = false;  // with the next datagram
  std::vector<Bytes> first_flight_;
  std::optional<uint64_t> first_plaintext_;  // until the first record is sent
  std::shared_ptr<uint64_t> shared_;
  std::vector<uint64_t> drawn_;      // of the shared ones
  uint64_t ahead_ = 0;               // of OpenSSL's numbers of epoch 0 are those on the wire
  uint64_t plaintext_sequence_ = 0;  // next free record number of epoch 0
  uint64_t encrypted_sequence_ = 0;  // the same of epoch 1
};

}  // namespace mcbn
