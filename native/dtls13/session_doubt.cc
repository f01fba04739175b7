// What a Dtls13Session makes of messages that anybody can have sent, and of silence.
#include "dtls13/dtls13_session.h"

namespace mcbn::dtls13 {
namespace {

// What ended a handshake by the peer's doing says that the key, or its identity, is another.
bool saysWrongKey(int alert) {
  return alert == alert::kDecryptError || alert == alert::kBadRecordMac ||
         alert == alert::kIllegalParameter;  // wolfSSL, and OpenSSL 3.0, of a bad binder
}

}  // namespace

// The server says that the HelloRetryRequest which was followed was not its own. Whether that is all that
// the record is for.
bool Dtls13Session::startsOver(const OpenedRecord& record, SessionStep& step) {
  auto* const client = std::get_if<ClientHandshake>(&phase_);
  const auto cause = client ? client->contradicted(record) : std::nullopt;
  if (!cause) return false;
  doubt_.reset();
  early_.clear();
  early_bytes_ = 0;
  if (*cause == ClientHandshake::Cause::Alert) {
    client->goBack(messages_);
    return false;
  }
  follow(client->startOver(messages_, step), step);
  return true;
}

// Something in the clear says that it is over. Anybody can say so: it is believed if the handshake
// does not go on, after our flight went out once more (RFC 9147 section 4.5.2).
void Dtls13Session::doubt(Failure failure, bool ours, SessionStep& step) {
  HandshakeTimers& timers = messages_.timers();
  if (timers.alertNoted()) return;
  // A client that waits for us to find its key has no cause to be quick.
  const auto* const server = std::get_if<ServerHandshake>(&phase_);
  timers.noteAlert(step.now, server && server->waitsForKey());
  doubt_ = std::move(failure);
  doubt_is_ours_ = ours;
  if (auto* const client = std::get_if<ClientHandshake>(&phase_))
    client->askAgain(ClientHandshake::Cause::Alert, messages_, step);
}

Failure Dtls13Session::explainAlert(uint8_t description) const {
  Failure failure{
      .code = "MCBN_HANDSHAKE_FAILED", .message = {}, .reason = {}, .alert = description};
  const std::string name = alertName(description);
  if (description == alert::kUnknownPskIdentity) {
    failure.code = "MCBN_PSK_IDENTITY_UNKNOWN";
    failure.message =
        "the peer knows no key for identity " + quoted(identity()) + " (" + name + ")";
  } else if (role_ == Role::Client && saysWrongKey(description)) {
    failure.code = "MCBN_PSK_MISMATCH";
    failure.message = "the server has another key for identity " + quoted(identity()) +
                      ", or another hash for it, or does not know the identity (" + name +
                      "); compare them";
    const auto* const client = std::get_if<ClientHandshake>(&phase_);
    // RFC 9147 section 5.1 has a server say the same of a cookie.
    if (description == alert::kIllegalParameter && client && client->retried()) {
      failure.message +=
          ". Or it refuses the cookie that it gave: it was restarted, or the client's address "
          "changed on the way; then try again";
    }
  } else if (role_ == Role::Client &&
             (description == alert::kHandshakeFailure || description == alert::kMissingExtension)) {
    // The latter is what NSS and wolfSSL say of an identity that they do not know.
    failure.message = "the server refused the handshake (" + name + "): it may not know identity " +
                      quoted(identity()) +
                      ", or no cipher suite, group and key exchange mode is common";
  } else {
    failure.message = "the peer ended the handshake with the alert " + name;
  }
  return failure;
}

std::string Dtls13Session::explainTimeout() const {
  if (open()) return "the server never acknowledged our Finished";
  if (std::holds_alternative<Idle>(phase_)) return "the key was not found in time";
  if (role_ == Role::Server) return "the client did not go on with its handshake in time";
  return stats_.datagrams_received == 0
             ? "nothing came from the server; does it listen there, and speak DTLS 1.3?"
             : "the server did not go on with its handshake in time";
}

}  // namespace mcbn::dtls13
