#include "record/record_layer.h"

#include <algorithm>
#include <cstring>

#include "base/few.h"

namespace mcbn {
namespace {

// Records that go to the cipher at once: a train of UDP_GRO has no more.
constexpr size_t kTogether = 64;

}  // namespace

void RecordKeys::wipe() {
  write_key.reset();
  read_key.reset();
  OPENSSL_cleanse(write_iv.data(), write_iv.size());
  OPENSSL_cleanse(read_iv.data(), read_iv.size());
}

RecordLayer::RecordLayer(const AeadSuite& suite, uint16_t epoch, RecordKeys keys,
                         const RecordPosition& position, CipherContexts* contexts,
                         size_t replay_window, ConnectionIds ids)
    : suite_(suite),
      epoch_(epoch),
      write_(suite, RecordProtection::Direction::Seal, std::move(keys.write_key), keys.write_iv,
             contexts, std::move(ids.peer)),
      read_(suite, RecordProtection::Direction::Open, std::move(keys.read_key), keys.read_iv,
            contexts, std::move(ids.own)),
      next_write_(position.next_write),
      blocks_(position.blocks),
      forgeries_(position.forgeries),
      window_(replay_window) {
  window_.resume(position.newest_read, position.seen);
  keys.wipe();
}

bool RecordLayer::exhausted() const {
  return next_write_ >= kMaxSequence - kReserve || blocks_ >= suite_.blocks ||
         (forgery_limit_ != 0 && forgeries_ >= forgery_limit_);
}

bool RecordLayer::seal(uint8_t type, ByteView message, uint8_t* out) {
  if (next_write_ >= limits_.write) return false;
  if (!message.empty() && message.data() != out + before()) {
    std::memcpy(out + before(), message.data(), message.size());
  }
  // Used up even when OpenSSL fails: a nonce may have left it.
  const uint64_t number = numberOf(next_write_++);
  blocks_ += message.size() / 16 + 3;
  return write_.seal(type, number, out, message.size());
}

size_t RecordLayer::seal(uint8_t type, std::span<const MutableBytes> messages) {
  Few<RecordPiece, kTogether> pieces;
  size_t sealed = 0;
  while (sealed < messages.size()) {
    pieces.clear();
    // The record that uses the keys up is the last one, as it is when they are sealed one by one.
    for (const MutableBytes message : messages.subspan(sealed)) {
      if (pieces.full() || (sealed + pieces.size() > 0 && exhausted())) break;
      if (next_write_ >= limits_.write) break;
      uint8_t* const fragment = message.data() - suite_.explicit_nonce;
      pieces.add({type, numberOf(next_write_++), fragment, message.size()});
      blocks_ += message.size() / 16 + 3;
    }
    const std::span<RecordPiece> some = pieces.items();
    write_.seal(some);
    const auto failed = std::ranges::find(some, false, &RecordPiece::done);
    sealed += static_cast<size_t>(failed - some.begin());
    if (some.empty() || failed != some.end()) break;
  }
  return sealed;
}

// What can be said without its keys.
DropReason RecordLayer::judge(const DtlsRecord& record) const {
  if (record.epoch != epoch_) return DropReason::WrongEpoch;
  if (record.version != kDtls12) return DropReason::WrongVersion;
  // RFC 9146 section 3: with an ID agreed on no other record is valid, and the other way round.
  const bool with_id = record.type == content_type::kTls12Cid;
  if (with_id == read_.id().empty() || !std::ranges::equal(record.connection_id, read_.id())) {
    return DropReason::ConnectionId;
  }
  if (record.fragment.size() < read_.overhead()) return DropReason::Malformed;
  // RFC 6347 section 4.1.2.6: before the MAC is computed, which is the costly part.
  return window_.seen(record.sequence) ? DropReason::Replayed : DropReason::None;
}

std::optional<size_t> RecordLayer::open(const DtlsRecord& record, uint8_t* out) {
  if (out != record.fragment.data() && !record.fragment.empty()) {
    std::memcpy(out, record.fragment.data(), record.fragment.size());
  }
  IncomingRecord incoming{record, out};
  decrypt({&incoming, 1});
  return admit(incoming);
}

void RecordLayer::decrypt(std::span<IncomingRecord> train) {
  Few<RecordPiece, kTogether> pieces;
  Few<IncomingRecord*, kTogether> of;
  while (!train.empty()) {
    pieces.clear();
    of.clear();
    size_t looked = 0;
    for (; looked < train.size() && !pieces.full(); ++looked) {
      IncomingRecord& incoming = train[looked];
      const DtlsRecord& record = incoming.record;
      incoming.authentic = false;
      if (judge(record) != DropReason::None) continue;
      pieces.add({record.type, numberOf(record.sequence), incoming.place, record.fragment.size()});
      of.add(&incoming);
    }
    read_.open(pieces.items());
    for (size_t i = 0; i < of.size(); ++i) of[i]->authentic = pieces[i].done;
    train = train.subspan(looked);
  }
}

std::optional<size_t> RecordLayer::admit(const IncomingRecord& incoming) {
  const DtlsRecord& record = incoming.record;
  // Once more: one before it in the train may have been the same, or have moved the window past it.
  drop_reason_ = judge(record);
  if (drop_reason_ != DropReason::None) return std::nullopt;
  if (!incoming.authentic) {
    forgeries_ += 1;
    return drop(DropReason::BadMac);
  }
  if (record.sequence >= limits_.read) return drop(DropReason::Unreserved);
  // And the window moves only after it has been verified.
  newest_ = record.sequence > window_.newest();
  window_.mark(record.sequence);
  content_type_ = record.type;
  const size_t length = record.fragment.size() - suite_.overhead();
  if (record.type != content_type::kTls12Cid) return length;
  const auto inner = innerContentOf({incoming.place + suite_.explicit_nonce, length});
  // RFC 9146 section 5: a DTLSInnerPlaintext has at most 2^14 bytes.
  if (!inner || length > kMaxInnerBytes) return drop(DropReason::Malformed);
  content_type_ = inner->type;
  return inner->length;
}

std::optional<size_t> RecordLayer::admitHeld(uint64_t sequence, uint8_t type,
                                             MutableBytes fragment) {
  const DtlsRecord record{.type = type,
                          .version = kDtls12,
                          .epoch = epoch_,
                          .sequence = sequence,
                          .connection_id = read_.id(),
                          .fragment = fragment,
                          .whole = fragment};
  return admit({.record = record, .place = fragment.data(), .authentic = true});
}

std::optional<size_t> RecordLayer::drop(DropReason reason) {
  drop_reason_ = reason;
  return std::nullopt;
}

}  // namespace mcbn
