// established.h: the end of a good handshake. Both sides have shown that they have the pre-shared key,
// by the binder and the Finished messages that cover it.
//
// Only a handshake makes one, and a session that is open has one behind it.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "dtls13/key_schedule.h"
#include "dtls13/messages.h"
#include "psk/psk.h"
#include "session/failure.h"

namespace mcbn::dtls13 {

// What was agreed on.
struct Agreement {
  const Suite* suite;
  Secret read, write;  // traffic secrets of the epochs in use, at first of epoch 3
  Secret
      older;  // of the epoch to read before; at first a server's, for a Finished that comes again
  Exporter exporter;
  Identity identity;
  std::string servername, alpn;     // empty: none
  bool return_routability = false;  // both sides check new paths (RFC 9853)
};

class Established {
 public:
  Agreement take() && { return std::move(agreed_); }

 private:
  friend class ClientHandshake;
  friend class ServerHandshake;
  explicit Established(Agreement agreed) : agreed_(std::move(agreed)) {}

  Agreement agreed_;
};

// What a handshake has come to with a message. A Failure's alert is the one to send.
using Progress = std::variant<std::monostate, Failure, Established>;

inline Failure handshakeFailure(uint8_t alert, std::string message,
                                const char* code = "MCBN_HANDSHAKE_FAILED") {
  return {.code = code, .message = std::move(message), .reason = {}, .alert = alert};
}
inline Failure outOfMemory() {
  return handshakeFailure(alert::kInternalError,
                          "OpenSSL refused a key or a hash; is the process out of memory?",
                          "MCBN_INTERNAL");
}
inline Failure malformed(const char* message, uint8_t alert) {
  return handshakeFailure(alert,
                          std::string("the peer's ") + message + " is not as RFC 8446 has it (" +
                              alertName(alert) + ")",
                          "MCBN_PROTOCOL_ERROR");
}

// Epoch 2, both directions; `role` is ours. False: OpenSSL refused.
inline bool startHandshakeKeys(Messages& messages, Role role, const Suite& suite,
                               const TrafficSecrets& traffic) {
  const bool client = role == Role::Client;
  messages.speakIn(2);
  return !traffic.empty() &&
         messages.records().startReading(2, suite, client ? traffic.server : traffic.client) &&
         messages.records().startWriting(2, suite, client ? traffic.client : traffic.server);
}

inline void logSecret(bool wanted, std::string_view name, ByteView random, ByteView secret,
                      SessionStep& step) {
  if (!wanted || secret.empty()) return;
  const Secret line = keyLogLine(name, random, secret);
  step.sink.keylog({reinterpret_cast<const char*>(line.data()), line.size()});
}

}  // namespace mcbn::dtls13
