#include "session/key_proof.h"

#include "session/failure.h"

namespace mcbn {

bool KeyProof::ready() {
  if (peer_wrote_) return true;
  const AeadSuite* const suite = aeadSuiteOf(SSL_get_pending_cipher(ssl_));
  const auto secrets = suite ? ExporterSecrets::of(ssl_) : std::nullopt;
  auto keys = secrets ? secrets->recordKeys(*suite, role_) : std::nullopt;
  if (!keys) return false;
  peer_wrote_ = std::make_unique<RecordProtection>(*suite, RecordProtection::Direction::Open,
                                                   keys->read_key.clone(), keys->read_iv, nullptr);
  keys->wipe();
  return true;
}

KeyProof::Verdict KeyProof::judge(const DtlsRecord& record) {
  MCBN_ASSERT(record.epoch > 0);
  if (!ready()) return Verdict::Unknown;
  Bytes fragment(record.fragment.begin(), record.fragment.end());
  const uint64_t number = uint64_t{record.epoch} << 48 | record.sequence;
  const bool opened =
      peer_wrote_->open(record.type, number, fragment.data(), fragment.size()).has_value();
  clearOpensslErrors();
  return opened ? Verdict::Right : Verdict::Wrong;
}

}  // namespace mcbn
