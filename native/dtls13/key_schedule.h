// key_schedule.h: from a pre-shared key to the secrets of every epoch.
//
//   psk -> EarlySecret -> binder
//             | shared secret of (EC)DHE, or zeros with psk_ke
//             v
//          HandshakeSecret -> traffic secrets of epoch 2 -> finished
//             |
//             v
//          MasterSecret -> traffic secrets of epoch 3 -> those of 4, 5, ...
//                     \--> Exporter
//
// A stage is a type, so that no secret can be asked for before what it stands on is there. Transcript
// hashes are made by the handshake: RFC 9147 section 5.2, messages with the header of TLS.
//
// A failure (OpenSSL has no memory) gives empty secrets all the way down: see hkdf.h.
//
// Ownership   each stage owns its secret and wipes it; a handshake drops a stage when the next is
//             made.
// Thread      the session's.
// Spec        RFC 8446 section 7, RFC 9147 section 5.9, RFC 9258 section 5.2 ("imp binder")
#pragma once

#include <optional>
#include <string_view>

#include "dtls13/hkdf.h"
#include "dtls13/suite.h"

namespace mcbn::dtls13 {

struct TrafficSecrets {
  Secret client, server;

  bool empty() const { return client.empty() || server.empty(); }
};

class Exporter;
class MasterSecret;
class HandshakeSecret;

class EarlySecret {
 public:
  // `psk` is not empty. `origin` says which label its binder has.
  EarlySecret(PskHash hash, PskOrigin origin, ByteView psk, std::string_view prefix = kLabelPrefix);

  // RFC 8446 section 4.2.11.2. `transcript_hash`: up to and with the identities of the ClientHello,
  // after what a HelloRetryRequest has left of the first one.
  Secret binder(ByteView transcript_hash) const;
  // `shared_secret`: of the key exchange; empty with psk_ke, where HashLen zeros stand for it.
  HandshakeSecret handshake(ByteView shared_secret) const;

 private:
  PskHash hash_;
  std::string_view prefix_;
  Secret binder_key_;  // of the binder's HMAC
  Secret salt_;        // of the next stage
};

class HandshakeSecret {
 public:
  // Epoch 2. `transcript_hash`: ClientHello to ServerHello.
  TrafficSecrets traffic(ByteView transcript_hash) const;
  MasterSecret master() const;

 private:
  friend class EarlySecret;
  HandshakeSecret(PskHash hash, std::string_view prefix, const Secret& secret)
      : hash_(hash), prefix_(prefix), secret_(hash, secret.view(), prefix) {}

  PskHash hash_;
  std::string_view prefix_;
  Expander secret_;
};

class MasterSecret {
 public:
  // Epoch 3. `transcript_hash`, of both: ClientHello to the server's Finished.
  TrafficSecrets traffic(ByteView transcript_hash) const;
  Exporter exporter(ByteView transcript_hash) const;

 private:
  friend class HandshakeSecret;
  MasterSecret(PskHash hash, std::string_view prefix, const Secret& secret)
      : hash_(hash), prefix_(prefix), secret_(hash, secret.view(), prefix) {}

  PskHash hash_;
  std::string_view prefix_;
  Expander secret_;
};

// Values for other protocols, for as long as the session is open.
class Exporter {
 public:
  // `secret`: exporter_master_secret.
  Exporter(PskHash hash, Secret secret, std::string_view prefix = kLabelPrefix)
      : hash_(hash), prefix_(prefix), secret_(std::move(secret)) {}

  // RFC 8446 section 7.5: no context is the same as an empty one. 1 to 255 * HashLen bytes; false:
  // more are asked for, the label is too long (249 bytes are not), or OpenSSL refused.
  bool exportKeyingMaterial(std::string_view label, ByteView context, MutableBytes out) const;
  ByteView bytes() const { return secret_.view(); }

 private:
  PskHash hash_;
  std::string_view prefix_;
  Secret secret_;
};

// verify_data of a Finished (RFC 8446 section 4.4.4). `secret`: the sender's traffic secret of epoch 2.
Secret finishedOf(PskHash hash, const Secret& secret, ByteView transcript_hash,
                  std::string_view prefix = kLabelPrefix);

// After a KeyUpdate (RFC 8446 section 7.2): the traffic secret of the sender's next epoch.
Secret nextTrafficSecret(PskHash hash, const Secret& secret,
                         std::string_view prefix = kLabelPrefix);

// What records of one epoch and direction are protected with (RFC 8446 section 7.3); `number` is
// for their numbers (RFC 9147 section 4.2.3).
struct TrafficKeys {
  Secret key, iv, number;

  bool empty() const { return key.empty() || iv.empty() || number.empty(); }
};
TrafficKeys trafficKeysOf(const Suite& suite, const Secret& secret,
                          std::string_view prefix = kLabelPrefix);

// The names that Wireshark knows, in the order of the schedule.
namespace key_log {
constexpr std::string_view kClientHandshake = "CLIENT_HANDSHAKE_TRAFFIC_SECRET";
constexpr std::string_view kServerHandshake = "SERVER_HANDSHAKE_TRAFFIC_SECRET";
constexpr std::string_view kClientTraffic = "CLIENT_TRAFFIC_SECRET_0";
constexpr std::string_view kServerTraffic = "SERVER_TRAFFIC_SECRET_0";
constexpr std::string_view kExporter = "EXPORTER_SECRET";
}  // namespace key_log

// A line of SSLKEYLOGFILE (RFC 9850 section 2) without its end: name, ClientHello.random and secret, both
// in hex.
Secret keyLogLine(std::string_view name, ByteView client_random, ByteView secret);

}  // namespace mcbn::dtls13
