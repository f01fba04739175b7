#include "record/record_layer.h"

#include <algorithm>
#include <cstring>

namespace mcbn {

void RecordKeys::wipe() {
  write_key.reset();
  read_key.reset();
  OPENSSL_cleanse(write_iv.data(), write_iv.size());
  OPENSSL_cleanse(read_iv.data(), read_iv.size());
}

RecordLayer::RecordLayer(const AeadSuite& suite, uint16_t epoch, RecordKeys keys,
                         uint64_t next_write, uint64_t last_read, CipherContexts* contexts,
                         size_t replay_window, ConnectionIds ids)
    : suite_(suite),
      epoch_(epoch),
      write_(suite, RecordProtection::Direction::Seal, std::move(keys.write_key), keys.write_iv,
             contexts, std::move(ids.peer)),
      read_(suite, RecordProtection::Direction::Open, std::move(keys.read_key), keys.read_iv,
            contexts, std::move(ids.own)),
      next_write_(next_write),
      window_(replay_window) {
  window_.mark(last_read);
  keys.wipe();
}

bool RecordLayer::exhausted() const {
  return next_write_ >= kMaxSequence - kReserve || blocks_ >= suite_.blocks ||
         forgeries_ >= suite_.forgeries;
}

bool RecordLayer::seal(uint8_t type, ByteView message, uint8_t* out) {
  if (next_write_ > kMaxSequence) return false;
  if (!message.empty() && message.data() != out + before()) {
    std::memcpy(out + before(), message.data(), message.size());
  }
  // Used up even when OpenSSL fails: a nonce may have left it.
  const uint64_t number = numberOf(next_write_++);
  blocks_ += message.size() / 16 + 3;
  return write_.seal(type, number, out, message.size());
}

std::optional<size_t> RecordLayer::open(const DtlsRecord& record, uint8_t* out) {
  drop_reason_ = DropReason::None;
  if (record.epoch != epoch_) return drop(DropReason::WrongEpoch);
  if (record.version != kDtls12) return drop(DropReason::WrongVersion);
  // RFC 9146 section 3: with an ID agreed on no other record is valid, and the other way round.
  const bool with_id = record.type == content_type::kTls12Cid;
  if (with_id == read_.id().empty() || !std::ranges::equal(record.connection_id, read_.id())) {
    return drop(DropReason::ConnectionId);
  }
  if (record.fragment.size() < read_.overhead()) return drop(DropReason::Malformed);
  // RFC 6347 section 4.1.2.6: before the MAC is computed, which is the costly part.
  if (window_.seen(record.sequence)) return drop(DropReason::Replayed);
  if (out != record.fragment.data()) {
    std::memcpy(out, record.fragment.data(), record.fragment.size());
  }
  const auto length =
      read_.open(record.type, numberOf(record.sequence), out, record.fragment.size());
  if (!length) {
    forgeries_ += 1;
    return drop(DropReason::BadMac);
  }
  // And the window moves only after it has been verified.
  newest_ = record.sequence > window_.newest();
  window_.mark(record.sequence);
  content_type_ = record.type;
  if (!with_id) return length;
  const auto inner = innerContentOf({out + suite_.explicit_nonce, *length});
  // RFC 9146 section 5: a DTLSInnerPlaintext has at most 2^14 bytes.
  if (!inner || *length > kMaxInnerBytes) return drop(DropReason::Malformed);
  content_type_ = inner->type;
  return inner->length;
}

std::optional<size_t> RecordLayer::drop(DropReason reason) {
  drop_reason_ = reason;
  return std::nullopt;
}

}  // namespace mcbn
