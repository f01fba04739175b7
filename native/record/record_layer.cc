#include "record/record_layer.h"

#include <cstring>

namespace mcbn {

RecordLayer::RecordLayer(const AeadSuite& suite, uint16_t epoch, RecordKeys keys,
                         uint64_t next_write, uint64_t last_read, CipherContexts* contexts,
                         size_t replay_window)
    : suite_(suite),
      epoch_(epoch),
      write_(suite, RecordProtection::Direction::Seal, std::move(keys.write_key), keys.write_iv,
             contexts),
      read_(suite, RecordProtection::Direction::Open, std::move(keys.read_key), keys.read_iv,
            contexts),
      next_write_(next_write),
      window_(replay_window) {
  window_.mark(last_read);
  OPENSSL_cleanse(keys.write_iv.data(), keys.write_iv.size());
  OPENSSL_cleanse(keys.read_iv.data(), keys.read_iv.size());
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
  if (record.fragment.size() < suite_.overhead()) return drop(DropReason::Malformed);
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
  window_.mark(record.sequence);
  return length;
}

std::optional<size_t> RecordLayer::drop(DropReason reason) {
  drop_reason_ = reason;
  return std::nullopt;
}

}  // namespace mcbn
