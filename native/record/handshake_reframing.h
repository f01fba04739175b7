// handshake_reframing.h: the encrypted records of a handshake, between OpenSSL's format and that
// with a connection ID.
//
//   OpenSSL --Finished (type 22)--> outgoing() --tls12_cid--> peer
//   OpenSSL <--Finished (type 22)-- incoming() <--tls12_cid-- peer
//
// OpenSSL knows nothing of connection IDs. Its record is opened with the keys of the handshake, and
// the content sealed anew under the same number. For CCM and ChaCha20 that is also the same nonce:
// safe only because the other record of that number never leaves the process. Callers must send
// what outgoing() gives *instead of* what it was given, and nothing when it gives nothing.
//
// Ownership   a DtlsSession has one between its key exchange and the end of its handshake.
// Spec        RFC 9146 section 3: "once encryption is enabled"
#pragma once

#include <optional>

#include "record/connection_id.h"
#include "record/record_layer.h"

namespace mcbn {

class HandshakeReframing {
 public:
  struct Incoming {
    uint8_t type;  // the real one
    Bytes record;  // as OpenSSL wants it
  };

  HandshakeReframing(const AeadSuite& suite, RecordKeys keys, const ConnectionIds& ids);

  // nullopt: not authentic, or OpenSSL refused.
  std::optional<Bytes> outgoing(const DtlsRecord& record);
  // nullopt: not authentic, or malformed inside.
  std::optional<Incoming> incoming(const DtlsRecord& record);

 private:
  const AeadSuite& suite_;
  RecordProtection openssl_wrote_, to_peer_;
  RecordProtection peer_wrote_, to_openssl_;
};

}  // namespace mcbn
