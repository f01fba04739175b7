#include "record/handshake_screen.h"

namespace mcbn {

Verdict HandshakeScreen::inspect(const DtlsRecord& record) {
  dropReason_ = DropReason::None;
  if (record.epoch > 1) return drop(DropReason::WrongEpoch);
  if (established_) return Verdict::Pass;
  return record.epoch == 1 ? inspectEncrypted(record) : inspectPlaintext(record);
}

void HandshakeScreen::release() {
  hold_ = false;
  holding_ = false;
}

void HandshakeScreen::forgetHeld() {
  holding_ = false;
  changeCipherSpec_ = false;
  heldRecords_ = 0;
  heldBytes_ = 0;
  // Those that came before any key exchange are OpenSSL's, for good.
  unprovenRecords_ = earlyRecords_;
}

Verdict HandshakeScreen::drop(DropReason reason) {
  dropReason_ = reason;
  return Verdict::Drop;
}

Verdict HandshakeScreen::inspectPlaintext(const DtlsRecord& record) {
  // The network may double a datagram. Their numbers mean no more to us: OpenSSL is given others.
  // A HelloVerifyRequest has the number of a hello, and not of its sender's records; GnuTLS has always 0.
  const bool counts = !isVerifyRequest(record);
  if (counts && plaintextRecords_.seen(record.sequence)) return drop(DropReason::Replayed);

  Verdict verdict = Verdict::Drop;
  switch (record.type) {
    case content_type::kHandshake:
      verdict = inspectHandshake(record);
      break;
    case content_type::kChangeCipherSpec:
      verdict = inspectChangeCipherSpec(record);
      break;
    case content_type::kAlert: {
      // Never held: a peer that gave up should end the wait for its key.
      const bool valid = record.fragment.size() == 2 && (record.fragment[0] == alert::kWarning ||
                                                         record.fragment[0] == alert::kFatal);
      // Nor marked: anybody can send one, and its number could close the window to all that
      // follows.
      return valid ? Verdict::Pass : drop(DropReason::Malformed);
    }
    default:
      return drop(DropReason::UnexpectedMessage);
  }
  if (counts && verdict != Verdict::Drop) plaintextRecords_.mark(record.sequence);
  return verdict;
}

Verdict HandshakeScreen::inspectChangeCipherSpec(const DtlsRecord& record) {
  // Record versions other than the negotiated one are dropped by OpenSSL.
  if (record.version != kDtls12) return drop(DropReason::WrongVersion);
  if (record.fragment.size() != 1 || record.fragment[0] != 1) return drop(DropReason::Malformed);
  // OpenSSL ignores one that comes too early. Counting it would lift the cap on the encrypted
  // records that follow while OpenSSL still stores every one of them.
  if (!expectsChangeCipherSpec()) return drop(DropReason::UnexpectedMessage);
  if (holding_) {
    if (changeCipherSpec_) return drop(DropReason::Duplicate);
    if (hold(record) == Verdict::Drop) return Verdict::Drop;
    changeCipherSpec_ = true;
    return Verdict::Hold;
  }
  changeCipherSpec_ = true;
  return Verdict::Pass;
}

Verdict HandshakeScreen::inspectEncrypted(const DtlsRecord& record) {
  if (record.version != kDtls12) return drop(DropReason::WrongVersion);
  const bool known =
      record.type == content_type::kHandshake || record.type == content_type::kAlert ||
      record.type == content_type::kApplicationData || record.type == content_type::kTls12Cid;
  if (!known) return drop(DropReason::UnexpectedMessage);
  if (!changeCipherSpec_ && earlyRecords_ >= kMaxEarlyRecords) return drop(DropReason::Flood);
  if (unprovenRecords_ >= kMaxUnprovenRecords) return drop(DropReason::Flood);

  const bool held = holding_ && holdsWhatFollows();
  if (held && hold(record) == Verdict::Drop) return Verdict::Drop;
  if (!changeCipherSpec_) earlyRecords_++;
  unprovenRecords_++;
  return held ? Verdict::Hold : Verdict::Pass;
}

Verdict HandshakeScreen::hold(const DtlsRecord& record) {
  const size_t size = record.whole.size();
  if (heldRecords_ >= kMaxHeldRecords || size > kMaxHeldBytes - heldBytes_) {
    return drop(DropReason::Flood);
  }
  heldRecords_++;
  heldBytes_ += size;
  holding_ = true;
  return Verdict::Hold;
}

}  // namespace mcbn
