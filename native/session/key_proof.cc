#include "session/key_proof.h"

#include "session/failure.h"

namespace mcbn {

bool KeyProof::ready() {
  if (peer_wrote_) return true;
  auto made = handshakeKeysOf(ssl_, role_);
  if (!made) return false;
  auto& [suite, keys] = *made;
  peer_wrote_ = std::make_unique<RecordProtection>(suite, RecordProtection::Direction::Open,
                                                   std::move(keys.read_key), keys.read_iv, nullptr);
  keys.wipe();
  return true;
}

KeyProof::Verdict KeyProof::judge(const DtlsRecord& record) {
  MCBN_ASSERT(record.epoch > 0);
  if (!ready()) return Verdict::Unknown;
  Bytes fragment(record.fragment.begin(), record.fragment.end());
  const bool opened =
      peer_wrote_->open(record.type, numberOf(record), fragment.data(), fragment.size())
          .has_value();
  clearOpensslErrors();
  return opened ? Verdict::Right : Verdict::Wrong;
}

}  // namespace mcbn
