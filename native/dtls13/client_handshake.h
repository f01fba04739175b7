// client_handshake.h: a client from its ClientHello to its Finished.
//
//   HelloSent --ServerHello--> AwaitingExtensions --EncryptedExtensions--> AwaitingFinished --> Established
//     ^    |
//     `----' HelloRetryRequest, once
//
// A state is a type with what that state knows, so nothing can be asked for before it is there. A
// message that is refused leaves the state as it was.
//
// Ownership   a Dtls13Session owns it; its Messages are the session's.
// Thread      the session's.
// Spec        RFC 8446 appendix A.1 and section 4.1, RFC 9147 section 5
#pragma once

#include <array>

#include "dtls13/established.h"
#include "dtls13/settings.h"
#include "dtls13/transcript.h"

namespace mcbn::dtls13 {

struct ClientKey {
  Identity identity;
  PskEntry entry;
};

class ClientHandshake {
 public:
  // `own_id`: what the peer shall put into its records, may be empty; nullopt: no connection IDs.
  ClientHandshake(std::shared_ptr<const Settings> settings, std::string servername, bool keylog,
                  ClientKey key, std::optional<Bytes> own_id);

  // Sends the ClientHello.
  std::optional<Failure> begin(Messages& messages, SessionStep& step);
  // The next message of the server's.
  Progress take(uint8_t type, uint64_t epoch, ByteView body, Messages& messages, SessionStep& step);

  const Identity& identity() const { return identity_; }
  // Nothing that is authentic has come.
  bool unanswered() const { return std::holds_alternative<HelloSent>(state_); }
  // Nothing but a HelloRetryRequest has.
  bool retried() const {
    const auto* const sent = std::get_if<HelloSent>(&state_);
    return sent && sent->retried;
  }
  // The server has put its answer together (it need not be able to read ours yet).
  void setKeylog(bool on) { keylog_ = on; }

 private:
  struct HelloSent {
    EarlySecret early;
    Transcript transcript;  // without the hello; with what came before it
    Bytes hello;
    std::optional<KeyShare> share;
    const Suite* retried = nullptr;  // the suite of the HelloRetryRequest
  };
  struct Keyed {
    const Suite* suite;
    Transcript transcript;
    MasterSecret master;
    TrafficSecrets traffic;
  };
  struct AwaitingExtensions : Keyed {};
  struct AwaitingFinished : Keyed {};

  bool writeHello(HelloSent& state, ByteView cookie);
  Progress takeHello(HelloSent& state, ByteView body, Messages& messages, SessionStep& step);
  Progress takeRetry(HelloSent& state, const ServerHello& hello, ByteView body, Messages& messages,
                     SessionStep& step);
  Progress takeFinished(AwaitingFinished& state, ByteView body, Messages& messages,
                        SessionStep& step);
  const Suite* offered(uint16_t id) const;
  bool hasGroup(uint16_t id) const;

  const std::shared_ptr<const Settings> settings_;
  const std::string servername_;
  bool keylog_;
  const Identity identity_;
  PskEntry key_;  // empty once the early secret is made
  const std::optional<Bytes> own_id_;
  std::array<uint8_t, kRandomBytes> random_{};
  std::variant<std::monostate, HelloSent, AwaitingExtensions, AwaitingFinished> state_;
};

}  // namespace mcbn::dtls13
