// client_handshake.h: a client from its ClientHello to its Finished.
//
//   HelloSent --ServerHello--> AwaitingExtensions --EncryptedExtensions--> AwaitingFinished --> Established
//     ^    |
//     `----' HelloRetryRequest, once
//
// Anybody can send a HelloRetryRequest, and the first is followed. When what came of it leads nowhere the
// server is asked again; if it says something else, the first was a stranger's. After an alert that is
// followed in its place. After silence all begins anew: a server may be slow, and have another cookie
// by now, but not another answer to a hello that it has taken.
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
  // `keys`: at least one, in order of preference, all of one hash. `own_id`: what the peer shall put into its records, may be empty; nullopt: no connection IDs.
  ClientHandshake(std::shared_ptr<const Settings> settings, std::string servername, bool keylog,
                  std::vector<ClientKey> keys, std::optional<Bytes> own_id);

  // Sends the ClientHello.
  std::optional<Failure> begin(Messages& messages, SessionStep& step);
  // The next message of the server's.
  Progress take(uint8_t type, uint64_t epoch, ByteView body, Messages& messages, SessionStep& step);

  // The one that the server has chosen; until then the first.
  const Identity& identity() const { return keys_[chosen_].identity; }
  // Nothing that is authentic has come.
  bool unanswered() const { return std::holds_alternative<HelloSent>(state_); }
  // Nothing but a HelloRetryRequest has.
  bool retried() const {
    const auto* const sent = std::get_if<HelloSent>(&state_);
    return sent && sent->retried;
  }
  // Has a server whose HelloRetryRequest was followed say again what it said; else without effect.
  enum class Cause : uint8_t { Alert, Silence };
  static constexpr unsigned kMostReturns = 8;  // then an alert is believed
  void askAgain(Cause cause, Messages& messages, SessionStep& step);
  // Why the server was asked, if this is another HelloRetryRequest than the one that was followed. Then
  // goBack(), after which it can be followed, or startOver().
  std::optional<Cause> contradicted(const OpenedRecord& record) const;
  void goBack(Messages& messages);
  std::optional<Failure> startOver(Messages& messages, SessionStep& step);
  void setKeylog(bool on) { keylog_ = on; }

 private:
  struct HelloSent {
    std::vector<EarlySecret> early;  // of each key
    Transcript transcript;           // without the hello; with what came before it
    Bytes hello;
    std::optional<KeyShare> share;
    const Suite* retried = nullptr;            // the suite of the HelloRetryRequest
    Bytes first = {}, retry = {};              // the hello before it, and its body
    std::optional<KeyShare> first_share = {};  // where it asked for another
    std::optional<Cause> asked = {};
  };
  struct Keyed {
    const Suite* suite;
    Transcript transcript;
    MasterSecret master;
    TrafficSecrets traffic;
  };
  struct AwaitingExtensions : Keyed {};
  struct AwaitingFinished : Keyed {};

  std::optional<Failure> sendHello(HelloSent state, Messages& messages, SessionStep& step);
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
  std::string alpn_;  // that the server has chosen; empty: none
  bool return_routability_ = false;
  unsigned returns_ = 0;
  bool keylog_;
  std::vector<ClientKey> keys_;  // empty ones, once the early secrets are made
  size_t chosen_ = 0;
  PskHash hash() const { return keys_.front().entry.hash; }
  const std::optional<Bytes> own_id_;
  std::array<uint8_t, kRandomBytes> random_{};
  std::variant<std::monostate, HelloSent, AwaitingExtensions, AwaitingFinished> state_;
};

}  // namespace mcbn::dtls13
