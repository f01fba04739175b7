// open_state13.h: all that an open session of DTLS 1.3 is, as plain values. dtls13/ takes them out of a session and
// makes one of them; sealed_session.h writes and reads them.
//
// What records are protected with is derived from the traffic secrets again. A state has no number of its
// peer's or ours twice: the caller takes the session away from its owner, or reserves ahead (reservation.h).
//
// Ownership   the secrets wipe themselves.
// Spec        RFC 9147 sections 4.2 (numbers, epochs), 8 (key updates), 9 (connection IDs)
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/secret.h"
#include "base/time.h"
#include "psk/psk.h"
#include "record/replay_window.h"

namespace mcbn {

// What was agreed on besides the keys; few sessions have any of it.
struct AgreedNames {
  std::string alpn, servername;  // empty: none

  bool empty() const { return alpn.empty() && servername.empty(); }
};

// One epoch in one direction.
struct EpochState {
  uint64_t epoch = 0;
  Secret secret;  // its traffic secret (RFC 8446 section 7.1)
  uint64_t next =
      0;  // to send: the first number that was not used; to receive: one more than the highest
  uint64_t seen = 0;     // to receive: bit i says that number next - 1 - i came
  uint64_t used = 0;     // to send: cipher blocks; to receive: records that were not authentic
  Milliseconds age = 0;  // of the keys; whole seconds are kept
  bool closed = false;   // to receive: data and path messages count as seen
};

// A message of the handshake that is ours: a KeyUpdate, NewConnectionId or RequestConnectionId.
struct WaitingMessage {
  uint8_t type = 0;
  Bytes body;
};

struct OpenState13 {
  // RFC 9147 section 8 lets epochs go up to 2^48 - 1; message_seq ends here already (section 5.2).
  static constexpr uint64_t kLastEpoch = UINT16_MAX;
  static constexpr size_t kMostOwnIds = 16, kMostSpareIds = 4;

  uint16_t suite = 0;  // the IANA's number
  Role role = Role::Client;
  EpochState write, read;
  // The one before: what is under way still, and a message whose ACK was lost.
  std::optional<EpochState> older;
  Secret exporter;
  uint32_t next_message = 0, next_of_peer = 0;  // message_seq
  // The first has been sent, with the number before next_message, and waits for its ACK.
  bool under_way = false;
  std::vector<WaitingMessage> messages;
  std::vector<Bytes> own_ids;  // of one length; none: records to us have none
  Bytes peer_id;
  std::vector<Bytes> spare_ids;  // of the peer's
  bool ids_requested = false;    // a RequestConnectionId of ours is unanswered
  bool return_routability = false;
  Identity identity;
  AgreedNames names;
  Milliseconds round_trip = 0;  // 0: not known
};

}  // namespace mcbn
