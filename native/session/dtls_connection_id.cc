// A DtlsSession whose handshake agrees on connection IDs: from epoch 1 on its records have them,
// and OpenSSL must not notice (RFC 9146 section 3).
#include <algorithm>
#include <utility>

#include "session/dtls_session.h"

namespace mcbn {
namespace {

// Of records that overtook what they need; UDP may lose what is more.
constexpr size_t kMaxEarlyBytes = 16'384;

}  // namespace

void DtlsSession::useConnectionId(Bytes own) {
  if (options_.openssl_records || !handshake_ || !handshake_->ssl()) return;
  connection_id_ = std::make_unique<ConnectionIdExtension>(std::move(own));
  if (!connection_id_->attach(handshake_->ssl())) connection_id_.reset();
}

ByteView DtlsSession::ownConnectionId() const {
  return records_ ? ByteView(records_->ownConnectionId()) : ByteView();
}

ByteView DtlsSession::peerConnectionId() const {
  return records_ ? ByteView(records_->peerConnectionId()) : ByteView();
}

// Of records to us, once it is known that they have one.
size_t DtlsSession::connectionIdLength() const {
  if (records_) return records_->ownConnectionId().size();
  return connection_id_ && connection_id_->agreed() ? connection_id_->ids().own.size() : 0;
}

// RFC 9146 section 3: what was agreed on holds for every encrypted record, and for no other.
bool DtlsSession::hasConnectionIdDue(const DtlsRecord& record) const {
  const bool due = record.epoch > 0 && connectionIdLength() > 0;
  if ((record.type == content_type::kTls12Cid) != due) return false;
  return !due || std::ranges::equal(record.connection_id, connection_id_->ids().own);
}

Failure DtlsSession::connectionIdRefused() {
  return {.code = "MCBN_HANDSHAKE_FAILED",
          .message =
              "the server agreed to connection IDs together with a suite that has no AEAD, "
              "which mcbn cannot protect; offer AEAD suites only, or no connectionId",
          .alert = alert::kHandshakeFailure};
}

// Whether the keys are known: from the ClientKeyExchange on.
bool DtlsSession::reframes() {
  if (reframing_) return true;
  const SSL* ssl = handshake_->ssl();
  const AeadSuite* const suite = aeadSuiteOf(SSL_get_pending_cipher(ssl));
  const auto secrets = suite ? ExporterSecrets::of(ssl) : std::nullopt;
  auto keys = secrets ? secrets->recordKeys(*suite, role_) : std::nullopt;
  if (!keys) return false;
  reframing_ =
      std::make_unique<HandshakeReframing>(*suite, std::move(*keys), connection_id_->ids());
  return true;
}

// A tls12_cid record of the handshake: a Finished goes on to OpenSSL, the rest waits.
void DtlsSession::takeReframed(const DtlsRecord& record, Milliseconds now) {
  if (!reframes()) return keepEarly(record);
  const auto incoming = reframing_->incoming(record);
  clearOpensslErrors();
  if (!incoming) {
    drop(DropReason::BadMac);
    screen().noteUnreadable();
    return suspectKey(now);
  }
  if (incoming->type != content_type::kHandshake) return keepEarly(record);
  ByteView rest = incoming->record;
  feed(*nextRecord(rest), now);
}

// A Finished may have come before the ClientKeyExchange that its keys are made from.
void DtlsSession::retryEarly(Milliseconds now) {
  if (early_.empty() || connectionIdLength() == 0 || reframing_ || !reframes()) return;
  const std::vector<Bytes> early = std::exchange(early_, {});
  early_bytes_ = 0;
  for (const Bytes& bytes : early) {
    if (state_ == State::Ended) return;
    ByteView rest = bytes;
    const auto record = nextRecord(rest, connectionIdLength());
    state_ == State::Open ? readOpen(*record) : takeReframed(*record, now);
  }
}

// OpenSSL would keep it too, at 16 KB each.
void DtlsSession::keepEarly(const DtlsRecord& record) {
  if (early_bytes_ + record.whole.size() > kMaxEarlyBytes) return drop(DropReason::Flood);
  early_bytes_ += record.whole.size();
  early_.emplace_back(record.whole.begin(), record.whole.end());
}

// What OpenSSL wrote, its encrypted records replaced. One that cannot be replaced is not sent: its
// number may be used once only, and the peer would not take it as it is.
void DtlsSession::emitReframed(ByteView bytes) {
  Bytes out;
  for (ByteView rest = bytes; !rest.empty();) {
    const auto record = nextRecord(rest);
    if (!record) break;
    Bytes piece(record->whole.begin(), record->whole.end());
    if (record->epoch > 0) {
      auto replaced = reframes() ? reframing_->outgoing(*record) : std::nullopt;
      if (!replaced) continue;
      piece = std::move(*replaced);
    }
    // Longer than OpenSSL took it for: what does not fit any more goes into a datagram of its own.
    if (!out.empty() && out.size() + piece.size() > options_.mtu) {
      emit(out);
      out.clear();
    }
    out.insert(out.end(), piece.begin(), piece.end());
  }
  if (!out.empty()) emit(out);
}

}  // namespace mcbn
