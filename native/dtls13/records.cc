#include "dtls13/records.h"

#include <algorithm>
#include <utility>

#include "base/few.h"
#include "dtls13/record_epochs.h"
#include "record/dtls_record.h"

namespace mcbn::dtls13 {
namespace {

constexpr uint64_t kFirstEncrypted = 1;  // epoch
// Records that go to the cipher at once.
constexpr size_t kTogether = 64;
constexpr HeaderForm kWithLength{};
constexpr HeaderForm kAlone{.long_number = true, .length = false};

// So many records in a row that are not authentic may have numbers further on than their bits can tell.
// More than CCM_8 may ever have: no key gives a forger a second try there.
constexpr uint64_t kManyInVain = 256;
constexpr uint64_t kFarthest = 64;  // spans of numbers: four million with 16 bits

// Zeros behind the content type: what is missing to kMinEncryptedBytes (RFC 9147 section 4.2.3).
size_t paddingOf(const Suite& suite, size_t content) {
  const size_t encrypted = content + 1 + suite.tag;
  return encrypted < kMinEncryptedBytes ? kMinEncryptedBytes - encrypted : 0;
}
size_t encryptedBytes(const Suite& suite, size_t content) {
  return content + 1 + paddingOf(suite, content) + suite.tag;
}

uint64_t lowBits(ByteView number) {
  uint64_t low = 0;
  for (const uint8_t byte : number) low = low << 8 | byte;
  return low;
}

// RFC 9147 section 4.2.2: the number with these lowest bits that is closest to the next one.
uint64_t reconstructed(uint64_t next, uint64_t low, size_t bytes) {
  const uint64_t span = uint64_t{1} << (8 * bytes);
  const uint64_t candidate = (next & ~(span - 1)) | low;
  if (candidate + span / 2 < next) return candidate + span;
  if (candidate > next + span / 2 && candidate >= span) return candidate - span;
  return candidate;
}

// Content types that a protected record may have (RFC 9147 section 4.1, RFC 9853).
bool mayBeInside(uint8_t type) {
  switch (type) {
    case content_type::kAlert:
    case content_type::kHandshake:
    case content_type::kApplicationData:
    case content_type::kAck:
    case content_type::kReturnRoutabilityCheck:
      return true;
    default:
      return false;
  }
}

}  // namespace

Records::Records(size_t replay_window) : replay_window_(replay_window) {}
Records::~Records() = default;

// ---- from the peer -------------------------------------------------------------------------------

bool Records::startReading(uint64_t epoch, const Suite& suite, const Secret& traffic_secret) {
  MCBN_ASSERT(epoch >= kFirstEncrypted);
  return reading_.start(epoch, suite, traffic_secret, replay_window_);
}

bool Records::reads(uint64_t epoch) const { return reading_.find(epoch) != nullptr; }

void Records::stopReading(uint64_t epoch) { reading_.stop(epoch); }

void Records::setOwnIds(std::vector<Bytes> ids) {
  MCBN_ASSERT(
      std::ranges::all_of(ids, [&](const Bytes& id) { return id.size() == ids[0].size(); }));
  own_ids_ = std::move(ids);
}

KeyWear Records::readWear(uint64_t epoch) const {
  const ReadEpoch* const found = reading_.find(epoch);
  return found ? found->wear() : KeyWear::Spent;
}

std::optional<OpenedRecord> Records::drop(DropReason reason) {
  dropped_.add(reason);
  return std::nullopt;
}

std::optional<OpenedRecord> Records::next(RecordTrain& train) {
  for (;;) {
    while (train.admitted_ < train.decrypted_) {
      if (auto record = admit(train.epoch_, train.pieces_[train.admitted_++])) return record;
    }
    if (train.decrypted_ < train.pieces_.size()) {
      decrypt(train);
      continue;
    }
    const RecordFrame* const frame = lookAhead(train);
    if (!frame) return std::nullopt;
    if (frame->encrypted) {
      gather(train);
      continue;
    }
    const RecordFrame clear = *std::exchange(train.ahead_, std::nullopt);
    if (clear.number.epoch == 0)
      return OpenedRecord{clear.number, clear.type, clear.body, {}, false};
    drop(DropReason::WrongEpoch);  // RFC 9147 section 6.1: what is in the clear is of epoch 0
  }
}

// The next record that is for us; null: there is no other.
const RecordFrame* Records::lookAhead(RecordTrain& train) {
  while (!train.ahead_) {
    train.ahead_ = train.datagram_.next(own_ids_.empty() ? 0 : own_ids_[0].size());
    if (!train.ahead_) {
      if (train.datagram_.damaged()) drop(DropReason::Malformed);
      train.datagram_ = IncomingDatagram();
      if (train.behind_.empty()) return nullptr;
      train.datagram_ = IncomingDatagram(train.behind_.front());
      train.behind_ = train.behind_.subspan(1);
    } else if (!isOurs(train.datagram_, *train.ahead_)) {
      // RFC 9147 section 4: behind it the rest of the datagram MUST be discarded.
      train.datagram_.end();
      train.ahead_.reset();
      drop(DropReason::ConnectionId);
    }
  }
  return &*train.ahead_;
}

// RFC 9147 section 4: the ID MUST be in all datagrams.
bool Records::isOurs(IncomingDatagram& datagram, const RecordFrame& frame) const {
  if (!frame.encrypted) return true;
  if (frame.connection_id.empty()) return own_ids_.empty() || datagram.identified;
  datagram.identified = std::ranges::any_of(
      own_ids_, [&](const Bytes& id) { return std::ranges::equal(id, frame.connection_id); });
  return datagram.identified;
}

// Records in a row whose keys are those of one epoch.
void Records::gather(RecordTrain& train) {
  train.pieces_.clear();
  train.decrypted_ = train.admitted_ = 0;
  const uint8_t bits = train.ahead_->epoch_bits;
  ReadEpoch* const epoch = reading_.withBits(bits);
  const RecordFrame* frame = &*train.ahead_;
  while (frame && frame->encrypted && frame->epoch_bits == bits && !train.pieces_.full()) {
    if (!epoch || frame->body.size() < kMinEncryptedBytes) {
      drop(epoch ? DropReason::Malformed : DropReason::WrongEpoch);
    } else {
      train.pieces_.add({.sequence = 0, .header = frame->header, .encrypted = frame->body});
    }
    train.ahead_.reset();
    frame = lookAhead(train);
  }
  if (train.pieces_.size() == 0) return;
  train.epoch_ = epoch->epoch;
  if (epoch->cipher.maskNumbers(train.pieces_.items())) return;
  for (size_t i = 0; i < train.pieces_.size(); ++i) drop(DropReason::Unreadable);
  train.pieces_.clear();
}

// As many of those gathered as have the same number whichever of them are authentic. A number is
// reconstructed from the highest that was: the later it is reckoned, the higher that may be, and
// never lower. So where the lowest and the highest give the same number, so do all between.
void Records::decrypt(RecordTrain& train) {
  const std::span<CipherPiece> rest = train.pieces_.items().subspan(train.decrypted_);
  ReadEpoch* const epoch = reading_.find(train.epoch_);
  size_t count = rest.size();
  if (epoch && epoch->wear() != KeyWear::Spent) {
    if (epoch->in_vain >= kManyInVain) lookFarther(*epoch, rest.front());
    const uint64_t least = epoch->expected();
    uint64_t most = least;
    for (count = 0; count < rest.size(); ++count) {
      const ByteView number = numberIn(rest[count].header);
      const uint64_t low = lowBits(number);
      const uint64_t sequence = reconstructed(least, low, number.size());
      if (reconstructed(most, low, number.size()) != sequence) break;
      rest[count].sequence = sequence;
      most = std::max(most, sequence + 1);
    }
    epoch->cipher.open(rest.first(count));
  }
  train.decrypted_ += count;
}

// Once more records were lost in a row than half of what a number's bits can tell, none would ever be
// authentic again. So one of each train is tried further on as well: a copy of it, since it may be
// right as it is.
void Records::lookFarther(ReadEpoch& epoch, const CipherPiece& piece) {
  const ByteView number = numberIn(piece.header);
  epoch.farther = epoch.farther % kFarthest + 1;
  Bytes copy(piece.encrypted.begin(), piece.encrypted.end());
  CipherPiece guess{.sequence = reconstructed(epoch.expected(), lowBits(number), number.size()) +
                                (epoch.farther << (8 * number.size())),
                    .header = piece.header,
                    .encrypted = copy};
  epoch.cipher.open({&guess, 1});
  OPENSSL_cleanse(copy.data(), copy.size());
  if (guess.done) epoch.found = guess.sequence;
}

std::optional<OpenedRecord> Records::admit(uint64_t number, const CipherPiece& piece) {
  ReadEpoch* const epoch = reading_.find(number);
  if (!epoch) return drop(DropReason::WrongEpoch);
  if (epoch->wear() == KeyWear::Spent) return drop(DropReason::BadMac);
  if (!piece.done || piece.sequence >= kSequences) {
    epoch->forgeries += 1;
    epoch->in_vain += 1;
    return drop(DropReason::BadMac);
  }
  // RFC 9147 section 4.5.1: after deprotection, so that its time tells nothing about the number.
  if (epoch->window.seen(piece.sequence)) return drop(DropReason::Replayed);
  epoch->in_vain = 0;
  const RecordNumber whole{epoch->epoch, piece.sequence};
  const bool reserved = numberOf(whole) < limits_.read;
  const bool newest = whole > newest_ || newest_ == RecordNumber{};
  if (reserved) mark(*epoch, piece.sequence);

  // Behind the content its type, behind that zeros (RFC 8446 section 5.4).
  MutableBytes inner = piece.encrypted.first(piece.encrypted.size() - epoch->cipher.suite().tag);
  while (!inner.empty() && inner.back() == 0) inner = inner.first(inner.size() - 1);
  if (inner.empty() || inner.size() > kMaxContentBytes + 1 || !mayBeInside(inner.back())) {
    return drop(DropReason::Malformed);
  }
  // What may come twice without harm is heard: messages of the handshake have numbers, and an ACK of what is not under
  // way any more says nothing.
  const bool once = inner.back() == content_type::kApplicationData ||
                    inner.back() == content_type::kReturnRoutabilityCheck;
  if (epoch->closed && once) return drop(DropReason::Replayed);
  const auto id = static_cast<size_t>(numberIn(piece.header).data() - piece.header.data()) - 1;
  return OpenedRecord{
      whole,  inner.back(), inner.first(inner.size() - 1), piece.header.subspan(1, id),
      newest, reserved};
}

void Records::mark(ReadEpoch& epoch, uint64_t sequence) {
  epoch.window.mark(sequence);
  epoch.any = true;
  newest_ = std::max(newest_, {epoch.epoch, sequence});
}

bool Records::admitHeld(RecordNumber number) {
  ReadEpoch* const epoch = reading_.find(number.epoch);
  if (!epoch || epoch->window.seen(number.sequence)) {
    drop(epoch ? DropReason::Replayed : DropReason::WrongEpoch);
    return false;
  }
  mark(*epoch, number.sequence);
  return true;
}

// ---- to the peer ---------------------------------------------------------------------------------

bool Records::startWriting(uint64_t epoch, const Suite& suite, const Secret& traffic_secret) {
  MCBN_ASSERT(epoch >= kFirstEncrypted);
  return writing_.start(epoch, suite, traffic_secret);
}

bool Records::writes(uint64_t epoch) const { return epoch == 0 || writing_.find(epoch); }

void Records::stopWriting(uint64_t epoch) { writing_.stop(epoch); }

void Records::skipPlaintext(uint64_t next) { next_plaintext_ = std::max(next_plaintext_, next); }

KeyWear Records::writeWear(uint64_t epoch) const {
  if (epoch == 0) return wearOf(next_plaintext_, kSequences);
  const WriteEpoch* const found = writing_.find(epoch);
  return found ? found->wear() : KeyWear::Spent;
}

bool Records::mayWrite(uint64_t epoch) const {
  const WriteEpoch* const found = writing_.find(epoch);
  return found ? mayWrite(*found) : writeWear(epoch) != KeyWear::Spent;
}

bool Records::mayWrite(const WriteEpoch& epoch) const {
  return epoch.wear() != KeyWear::Spent && numberOf({epoch.epoch, epoch.next}) < limits_.write;
}

size_t Records::sealedSize(uint64_t epoch, size_t content) const {
  if (epoch == 0) return kPlaintextHeaderBytes + content;
  const WriteEpoch* const found = writing_.find(epoch);
  return found ? kWithLength.bytes(peer_id_.size()) + encryptedBytes(found->cipher.suite(), content)
               : 0;
}

std::optional<RecordNumber> Records::seal(uint64_t epoch, uint8_t type, ByteView content,
                                          Bytes& datagram) {
  if (!mayWrite(epoch) || content.size() > kMaxContentBytes) return std::nullopt;
  if (epoch == 0) {
    appendPlaintextRecord(type, next_plaintext_, content, datagram);
    return RecordNumber{0, next_plaintext_++};
  }
  const size_t begin = datagram.size();
  datagram.resize(begin + sealedSize(epoch, content.size()));
  const size_t header = kWithLength.bytes(peer_id_.size());
  std::ranges::copy(content, datagram.begin() + static_cast<ptrdiff_t>(begin + header));
  WriteEpoch& writing = *writing_.find(epoch);
  const MutableBytes message = std::span(datagram).subspan(begin + header, content.size());
  const uint64_t number = writing.next;
  if (sealAt(writing, type, {&message, 1}, kWithLength) == 1) return RecordNumber{epoch, number};
  datagram.resize(begin);
  return std::nullopt;
}

size_t Records::before(uint64_t epoch) const {
  return epoch == 0 ? kPlaintextHeaderBytes : kAlone.bytes(peer_id_.size());
}

size_t Records::behind(uint64_t epoch) const {
  const WriteEpoch* const found = writing_.find(epoch);
  return found ? encryptedBytes(found->cipher.suite(), 0) : 0;
}

size_t Records::sealedAlone(uint64_t epoch, size_t content) const {
  const WriteEpoch* const found = writing_.find(epoch);
  return found ? before(epoch) + encryptedBytes(found->cipher.suite(), content) : 0;
}

size_t Records::seal(uint64_t epoch, uint8_t type, std::span<const MutableBytes> messages) {
  WriteEpoch* const found = writing_.find(epoch);
  return found ? sealAt(*found, type, messages, kAlone) : 0;
}

size_t Records::sealAt(WriteEpoch& epoch, uint8_t type, std::span<const MutableBytes> messages,
                       HeaderForm form) {
  const size_t header = form.bytes(peer_id_.size());
  const Suite& suite = epoch.cipher.suite();
  size_t sealed = 0;
  while (sealed < messages.size()) {
    Few<CipherPiece, kTogether> pieces;
    for (const MutableBytes message : messages.subspan(sealed)) {
      if (pieces.full() || !mayWrite(epoch) || message.size() > kMaxContentBytes) break;
      const uint64_t number = epoch.take(message.size());
      const size_t encrypted = encryptedBytes(suite, message.size());
      uint8_t* const record = message.data() - header;
      writeHeader(form, {epoch.epoch, number}, peer_id_, encrypted, record);
      uint8_t* const behind = message.data() + message.size();
      behind[0] = type;
      std::fill_n(behind + 1, paddingOf(suite, message.size()), uint8_t{0});
      pieces.add({number, {record, header}, {message.data(), encrypted}});
    }
    const size_t done = finish(epoch, pieces.items());
    sealed += done;
    if (pieces.size() == 0 || done < pieces.size()) break;
  }
  return sealed;
}

// Encrypts text and numbers: how many, from the first on, are whole.
size_t Records::finish(WriteEpoch& epoch, std::span<CipherPiece> pieces) {
  epoch.cipher.seal(pieces);
  const auto failed = std::ranges::find(pieces, false, &CipherPiece::done);
  const auto done = static_cast<size_t>(failed - pieces.begin());
  return epoch.cipher.maskNumbers(pieces.first(done)) ? done : 0;
}

// ---- to go on elsewhere --------------------------------------------------------------------------

EpochState Records::readState(uint64_t epoch) const {
  const ReadEpoch& from = *reading_.find(epoch);
  return {.epoch = epoch,
          .secret = {},
          .next = from.any ? from.window.newest() + 1 : 0,
          .seen = from.window.newestSeen(),
          .used = from.forgeries,
          .closed = from.closed};
}

EpochState Records::writeState(uint64_t epoch) const {
  const WriteEpoch& from = *writing_.find(epoch);
  return {.epoch = epoch, .secret = {}, .next = from.next, .used = from.blocks};
}

bool Records::resumeReading(const EpochState& state, const Suite& suite) {
  if (!startReading(state.epoch, suite, state.secret)) return false;
  ReadEpoch& to = *reading_.find(state.epoch);
  to.forgeries = state.used;
  to.closed = state.closed;
  to.any = state.next > 0;
  if (to.any) to.window.resume(state.next - 1, state.seen);
  return true;
}

bool Records::resumeWriting(const EpochState& state, const Suite& suite) {
  if (!startWriting(state.epoch, suite, state.secret)) return false;
  writing_.find(state.epoch)->next = state.next;
  writing_.find(state.epoch)->blocks = state.used;
  return true;
}

void Records::release() {
  reading_.release();
  writing_.release();
}

}  // namespace mcbn::dtls13
