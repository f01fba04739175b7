// server_handshake.h: a server from a ClientHello whose address is verified to the client's Finished.
//
//   accept() --> [ AwaitingKey --answer()--> ] AwaitingFinished --Finished--> Established
//
// The key is asked for by a value, SessionSink::question(), and the owner answers later. Nothing is sent before the binder has
// shown that the client has the key, except to a client that has not: and that answer is the same,
// in bytes and in steps, whether its identity is unknown or its key is another (RFC 8446 section E.6).
//
// Ownership   a Dtls13Session owns it; its Messages are the session's.
// Thread      the session's.
// Spec        RFC 8446 appendix A.2 and section 4.2.11, RFC 9147 section 5
#pragma once

#include "dtls13/cookie_exchange.h"
#include "dtls13/established.h"
#include "dtls13/settings.h"
#include "dtls13/transcript.h"

namespace mcbn::dtls13 {

class ServerHandshake {
 public:
  // `own_id`: see ClientHandshake.
  ServerHandshake(std::shared_ptr<const Settings> settings, bool keylog,
                  std::optional<Bytes> own_id);

  Progress accept(const VerifiedHello& hello, Messages& messages, SessionStep& step);
  // Asks for the key, if one is wanted and the sink did not take the question before.
  void ask(SessionStep& step);
  bool asks(uint32_t number) const;
  bool waitsForKey() const { return std::holds_alternative<AwaitingKey>(state_); }
  bool awaitsFinished() const { return std::holds_alternative<AwaitingFinished>(state_); }
  // The answer to the open question.
  Progress answer(PskAnswer answer, Messages& messages, SessionStep& step);
  Progress take(uint8_t type, uint64_t epoch, ByteView body, Messages& messages, SessionStep& step);

  // Of the offer being looked at; empty before accept().
  const Identity& identity() const { return identity_; }
  void setKeylog(bool on) { keylog_ = on; }

 private:
  // The ClientHello and what was decided about it.
  struct Offered {
    Bytes body;
    Transcript transcript;  // up to the hello, without it
    Choice choice;
  };
  struct AwaitingKey {
    Offered offered;
    size_t offer = 0;  // the one that the question is about
    PskQuestion question;
  };
  struct AwaitingFinished {
    const Suite* suite;
    Secret expected;   // verify_data of the client's Finished
    Secret handshake;  // the client's traffic secret of epoch 2
    TrafficSecrets traffic;
    Exporter exporter;
    bool return_routability;
  };

  // `hello`: of the bytes that are offered.
  Progress lookUp(Offered offered, const ClientHello& hello, size_t offer,
                  std::optional<PskEntry> answered, Messages& messages, SessionStep& step);
  Progress useKey(Offered& offered, const ClientHello& hello, size_t offer, PskEntry entry,
                  bool decoy, Messages& messages, SessionStep& step);
  Progress refuseKey(bool decoy) const;
  std::optional<Failure> misfit(uint8_t alert) const;
  std::optional<Failure> chooseAlpn(const ClientHello& hello);
  Progress sendFlight(Offered& offered, const ClientHello& hello, size_t offer,
                      const EarlySecret& early, Messages& messages, SessionStep& step);

  const std::shared_ptr<const Settings> settings_;
  bool keylog_;
  const std::optional<Bytes> own_id_;
  Identity identity_;
  std::string servername_, alpn_;
  size_t offers_ = 0;
  Identity misfit_;  // has a key, but of another hash than its binder; empty: there is none
  uint32_t questions_ = 0;
  std::array<uint8_t, kRandomBytes> client_random_{}, random_{};
  std::variant<std::monostate, AwaitingKey, AwaitingFinished> state_;
};

}  // namespace mcbn::dtls13
