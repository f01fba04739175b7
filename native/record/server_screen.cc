#include <utility>

#include "record/handshake_screen.h"
#include "record/psk_messages.h"

namespace mcbn {

std::optional<ByteView> ServerScreen::identity() const {
  if (!keyExchangeComplete()) return std::nullopt;
  return pskIdentityOf(seen_.keyExchange.body());
}

void ServerScreen::forgetKeyExchange() {
  seen_.keyExchange.reset();
  forgetHeld();
}

Verdict ServerScreen::inspectHandshake(const DtlsRecord& record) {
  // OpenSSL sees a record whole or not at all, so we must forget all of a record we drop.
  Seen before = seen_;
  DropReason reason = takeAll(record);
  if (reason == DropReason::None) {
    const bool asksForKey =
        !before.keyExchange.complete() && keyExchangeComplete() && identity().has_value();
    if (!asksForKey || !mayHold()) return Verdict::Pass;
    if (hold(record) == Verdict::Hold) return Verdict::Hold;
    reason = dropReason();
  }
  seen_ = std::move(before);
  return drop(reason);
}

DropReason ServerScreen::takeAll(const DtlsRecord& record) {
  Reader reader(record.fragment);
  do {
    const auto fragment = nextFragment(reader);
    if (!fragment) return DropReason::Malformed;
    DropReason reason = DropReason::UnexpectedMessage;
    if (fragment->type == handshake_type::kClientHello) {
      reason = takeClientHello(*fragment);
    } else if (fragment->type == handshake_type::kClientKeyExchange) {
      reason = takeClientKeyExchange(*fragment, record.version);
    }
    if (reason != DropReason::None) return reason;
  } while (!reader.empty());
  return DropReason::None;
}

DropReason ServerScreen::takeClientHello(const HandshakeFragment& fragment) {
  if (fragment.length > kMaxClientHelloBytes) return DropReason::Oversized;
  if (holding()) return DropReason::Duplicate;
  if (!seen_.helloSequence) {
    seen_.helloSequence = fragment.messageSequence;
    seen_.helloLength = fragment.length;
  }
  if (fragment.messageSequence != *seen_.helloSequence) return DropReason::UnexpectedMessage;
  if (fragment.length != seen_.helloLength) return DropReason::Contradiction;
  return DropReason::None;
}

DropReason ServerScreen::takeClientKeyExchange(const HandshakeFragment& fragment,
                                               uint16_t version) {
  // OpenSSL drops records of another version once the version is negotiated.
  if (version != kDtls12) return DropReason::WrongVersion;
  if (fragment.length > kMaxClientKeyExchangeBytes) return DropReason::Oversized;
  if (holding()) return DropReason::Duplicate;
  // No Certificate can come between: a PSK server never asks for one (RFC 4279 section 2).
  const bool inOrder = seen_.helloSequence &&
                       fragment.messageSequence == static_cast<uint16_t>(*seen_.helloSequence + 1);
  if (!inOrder) return DropReason::UnexpectedMessage;
  // A whole message weighs more than parts of another one, which anybody can send: OpenSSL too takes
  // it at once. Most clients send it whole.
  if (fragment.whole() && !keyExchangeComplete()) seen_.keyExchange.reset();
  const auto added = seen_.keyExchange.add(fragment.length, fragment.offset, fragment.body);
  return added == MessageAssembler::Added::Refused ? DropReason::Contradiction : DropReason::None;
}

}  // namespace mcbn
