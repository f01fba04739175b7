// Records with CCM, as many at a time as there are.
#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "base/few.h"
#include "record/ccm_batch.h"
#include "record/connection_id.h"
#include "record/record_protection.h"

namespace mcbn {
namespace {

// Epoch and sequence number, type, version, length (RFC 5246 section 6.2.3.3).
constexpr size_t kPlainAdditional = 8 + 1 + 2 + 2;

ByteView plainAdditional(const RecordPiece& piece, size_t text, uint8_t* room) {
  putBigEndian(room, piece.number, 8);
  room[8] = piece.type;
  putBigEndian(room + 9, kDtls12, 2);
  putBigEndian(room + 11, text, 2);
  return {room, kPlainAdditional};
}

}  // namespace

bool RecordProtection::readyForCcm() {
  if (!aes_) aes_ = aesBlocks(key_.view());
  if (aes_ && contexts_) contexts_->used(*this);
  return aes_ && key_.size() == suite_.key;
}

void RecordProtection::ccm(std::span<RecordPiece> pieces) {
  constexpr size_t kMost = CcmBatch::kWidest;
  Few<CcmMessage, kMost> messages;
  std::array<std::array<uint8_t, kNonceBytes>, kMost> nonces;
  std::array<uint8_t, kMost * CidAdditionalData::kMost> additional;
  Few<RecordPiece*, kMost> of;

  for (; !pieces.empty(); pieces = pieces.subspan(std::min(pieces.size(), kMost))) {
    const auto some = pieces.first(std::min(pieces.size(), kMost));
    messages.clear();
    of.clear();
    uint8_t* room = additional.data();
    for (RecordPiece& piece : some) {
      piece.done = false;
      const bool sealing = direction_ == Direction::Seal;
      if (!sealing && piece.length < overhead()) continue;
      const size_t id_type = id_.empty() ? 0 : 1;
      const size_t length = sealing ? piece.length + id_type : piece.length - suite_.overhead();
      uint8_t* const text = piece.fragment + suite_.explicit_nonce;
      auto& nonce = nonces[messages.size()];
      nonce = nonceOf(piece.number, piece.fragment);
      CcmMessage& message = messages.add({nonce, {}, {text, length}, text + length});
      if (id_.empty()) {
        message.additional = plainAdditional(piece, length, room);
      } else {
        const CidAdditionalData data(piece.number, id_, length);
        std::ranges::copy(data.view(), room);
        message.additional = {room, data.view().size()};
      }
      room += message.additional.size();
      of.add(&piece);
    }
    if (!readyForCcm()) return;
    CcmBatch batch(aes_.get(), kNonceBytes, suite_.tag);
    const std::span<CcmMessage> wanted = messages.items();
    if (!(direction_ == Direction::Seal ? batch.seal(wanted) : batch.open(wanted))) return;
    for (size_t i = 0; i < wanted.size(); ++i) {
      of[i]->done = direction_ == Direction::Seal || messages[i].authentic;
    }
  }
}

}  // namespace mcbn
