#include "session/handshake_ids.h"

#include <algorithm>
#include <utility>

namespace mcbn {

void HandshakeIds::want(Bytes own) {
  extension_ = std::make_unique<ConnectionIdExtension>(std::move(own));
  if (!extension_->attach(ssl_)) extension_.reset();
}

Failure HandshakeIds::refusal() {
  return {.code = "MCBN_HANDSHAKE_FAILED",
          .message =
              "the server agreed to connection IDs together with a suite that has no AEAD, "
              "which mcbn cannot protect; offer AEAD suites only, or no connectionId",
          .alert = alert::kHandshakeFailure};
}

bool HandshakeIds::isDue(const DtlsRecord& record) const {
  const bool due = record.epoch > 0 && lengthToUs() > 0;
  if ((record.type == content_type::kTls12Cid) != due) return false;
  return !due || std::ranges::equal(record.connection_id, extension_->ids().own);
}

bool HandshakeIds::ready() {
  if (reframing_) return true;
  MCBN_ASSERT(agreed());
  auto made = handshakeKeysOf(ssl_, role_);
  if (!made) return false;
  reframing_ =
      std::make_unique<HandshakeReframing>(made->suite, std::move(made->keys), extension_->ids());
  return true;
}

std::optional<HandshakeReframing::Incoming> HandshakeIds::incoming(const DtlsRecord& record) {
  MCBN_ASSERT(reframing_);
  auto incoming = reframing_->incoming(record);
  clearOpensslErrors();
  return incoming;
}

// A record that cannot be replaced is not sent: its number may be used once only, and the peer
// would not take it as it is.
void HandshakeIds::outgoing(ByteView bytes, size_t mtu, const std::function<void(ByteView)>& emit) {
  Bytes out;
  for (ByteView rest = bytes; !rest.empty();) {
    const auto record = nextRecord(rest);
    if (!record) break;
    Bytes piece(record->whole.begin(), record->whole.end());
    if (record->epoch > 0) {
      auto replaced = ready() ? reframing_->outgoing(*record) : std::nullopt;
      if (!replaced) continue;
      piece = std::move(*replaced);
    }
    // Longer than OpenSSL took it for: what does not fit any more goes into another datagram.
    if (!out.empty() && out.size() + piece.size() > mtu) {
      emit(out);
      out.clear();
    }
    out.insert(out.end(), piece.begin(), piece.end());
  }
  if (!out.empty()) emit(out);
}

}  // namespace mcbn
