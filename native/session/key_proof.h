// key_proof.h: whether an encrypted record of a handshake was made with our key.
//
// A peer whose record opens has the key, whatever else is still missing. One whose record does not may have
// another key, or somebody sent it in the peer's name. So a lost part of a Finished, which a small MTU
// divides into several records, is never taken for a wrong key.
//
// Ownership   a DtlsHandshake has one; it borrows the SSL.
// Thread      the session's.
// Spec        RFC 6347 section 4.1.2.7 (records that cannot be opened are dropped without a word)
#pragma once

#include <memory>

#include "record/record_protection.h"
#include "session/session_secrets.h"

namespace mcbn {

class KeyProof {
 public:
  // Unknown: the suite is no AEAD, or the ClientKeyExchange has not come.
  enum class Verdict : uint8_t { Unknown, Right, Wrong };

  KeyProof(const SSL* ssl, Role role) : ssl_(ssl), role_(role) {}

  Verdict judge(const DtlsRecord& record);

 private:
  bool ready();

  const SSL* const ssl_;
  const Role role_;
  // Made for the first record that is judged, which most handshakes never have.
  std::unique_ptr<RecordProtection> peer_wrote_;
};

}  // namespace mcbn
