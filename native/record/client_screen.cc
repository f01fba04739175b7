#include <algorithm>
#include <utility>

#include "record/handshake_screen.h"
#include "record/psk_messages.h"

namespace mcbn {

std::optional<ByteView> ClientScreen::hint() const {
  if (!seen_.doneSequence) return std::nullopt;
  // Right after the ServerHello: the server sent no ServerKeyExchange (RFC 4279 section 2).
  if (*seen_.doneSequence == static_cast<uint16_t>(seen_.helloSequence + 1)) return ByteView();
  if (!seen_.keyExchange.complete()) return std::nullopt;
  return pskHintOf(seen_.keyExchange.body()).value_or(ByteView());
}

Verdict ClientScreen::inspectHandshake(const DtlsRecord& record) {
  otherCookie_ = false;
  // OpenSSL sees a record whole or not at all, so we must forget all of a record we drop.
  Seen before = seen_;
  DropReason reason = takeAll(record);
  if (reason == DropReason::None) {
    const bool asksForKey = !before.doneSequence && seen_.doneSequence;
    if (!asksForKey || !mayHold()) return Verdict::Pass;
    if (hold(record) == Verdict::Hold) return Verdict::Hold;
    reason = dropReason();
  }
  seen_ = std::move(before);
  return drop(reason);
}

// Some servers put their whole flight into one record.
DropReason ClientScreen::takeAll(const DtlsRecord& record) {
  Reader reader(record.fragment);
  do {
    const auto fragment = nextFragment(reader);
    if (!fragment) return DropReason::Malformed;
    const DropReason reason = take(*fragment, record.version);
    if (reason != DropReason::None) return reason;
  } while (!reader.empty());
  return DropReason::None;
}

DropReason ClientScreen::take(const HandshakeFragment& fragment, uint16_t version) {
  if (fragment.length > kMaxServerMessageBytes) return DropReason::Oversized;
  // A HelloVerifyRequest comes as DTLS 1.0 (RFC 6347 section 4.2.1); a ServerHello of another
  // version is for OpenSSL to name.
  if (fragment.type == handshake_type::kHelloVerifyRequest) return takeHelloVerifyRequest(fragment);
  if (fragment.type == handshake_type::kServerHello) return takeServerHello(fragment);
  if (version != kDtls12) return DropReason::WrongVersion;
  if (fragment.type == handshake_type::kServerKeyExchange) return takeServerKeyExchange(fragment);
  if (fragment.type == handshake_type::kServerHelloDone) return takeServerHelloDone(fragment);
  // HelloRequest among them: there is nothing to renegotiate yet.
  return DropReason::UnexpectedMessage;
}

DropReason ClientScreen::takeHelloVerifyRequest(const HandshakeFragment& fragment) {
  // server_version and a cookie of at most 255 bytes: it never needs fragments.
  Reader reader(fragment.body);
  uint16_t version = 0;
  ByteView cookie;
  if (!fragment.whole() || !reader.u16(version) || !reader.vector8(cookie) || !reader.empty()) {
    return DropReason::Malformed;
  }
  otherCookie_ = awaitsServerHello() && !std::ranges::equal(cookie, seen_.cookie);
  // Behind any part of the server's flight it would renumber what was taken already.
  if (flightBegun() || fragment.messageSequence != seen_.helloSequence) {
    return DropReason::UnexpectedMessage;
  }
  // Each makes the client send another hello.
  if (seen_.verifyRequests >= mostVerifyRequests_) return DropReason::Flood;
  otherCookie_ = false;
  seen_.cookie.assign(cookie.begin(), cookie.end());
  seen_.verifyRequests++;
  seen_.helloSequence++;
  return DropReason::None;
}

DropReason ClientScreen::takeServerHello(const HandshakeFragment& fragment) {
  if (fragment.messageSequence != seen_.helloSequence) return DropReason::UnexpectedMessage;
  seen_.serverHello = true;
  return DropReason::None;
}

DropReason ClientScreen::takeServerKeyExchange(const HandshakeFragment& fragment) {
  const uint16_t sequence = fragment.messageSequence;
  if (sequence != static_cast<uint16_t>(seen_.helloSequence + 1)) {
    return DropReason::UnexpectedMessage;
  }
  // The ServerHelloDone already has this number.
  if (seen_.doneSequence == sequence) return DropReason::Contradiction;
  if (fragment.whole() && !seen_.keyExchange.complete()) seen_.keyExchange.reset();
  const auto added = seen_.keyExchange.add(fragment.length, fragment.offset, fragment.body);
  return added == MessageAssembler::Added::Refused ? DropReason::Contradiction : DropReason::None;
}

DropReason ClientScreen::takeServerHelloDone(const HandshakeFragment& fragment) {
  if (fragment.length != 0) return DropReason::Malformed;
  const uint16_t sequence = fragment.messageSequence;
  const uint16_t next = static_cast<uint16_t>(seen_.helloSequence + 1);
  const bool afterKeyExchange = sequence == static_cast<uint16_t>(next + 1);
  if (sequence != next && !afterKeyExchange) return DropReason::UnexpectedMessage;
  if (seen_.doneSequence && *seen_.doneSequence != sequence) return DropReason::Contradiction;
  if (!afterKeyExchange && seen_.keyExchange.started()) return DropReason::Contradiction;
  if (holding()) return DropReason::Duplicate;
  seen_.doneSequence = sequence;
  return DropReason::None;
}

}  // namespace mcbn
