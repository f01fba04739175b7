#include "record/stream_screen.h"

#include <algorithm>

#include "record/dtls_record.h"
#include "record/psk_messages.h"

namespace mcbn {
namespace {

constexpr uint8_t kTlsMajorVersion = 3;
constexpr size_t kMessageHeaderBytes = 4;

// Judged by what has arrived of the header: a stranger's first byte is enough to know him.
bool isTls(ByteView header) {
  const uint8_t type = header[0];
  if (type < content_type::kChangeCipherSpec || type > content_type::kApplicationData) return false;
  return header.size() < 2 || header[1] == kTlsMajorVersion;
}

size_t longestFragment(uint8_t type) {
  return type == content_type::kApplicationData ? kMaxRecordFragmentBytes : kMaxPlaintextBytes;
}

}  // namespace

size_t StreamScreen::pass(ByteView buffered) {
  size_t inspected = withheld_, passed = 0;
  while (state_ == State::Screening && inspected < buffered.size()) {
    Reader reader(buffered.subspan(inspected));
    if (!isTls(reader.rest())) {
      refuse(Refusal::NotTls);
      break;
    }
    uint8_t type = 0;
    uint16_t version = 0, length = 0;
    if (!reader.u8(type) || !reader.u16(version) || !reader.u16(length)) break;
    if (length > longestFragment(type)) {
      refuse(Refusal::RecordLength);
      break;
    }
    ByteView fragment;
    if (!reader.take(length, fragment)) break;
    if (!inspectRecord(type, fragment)) break;
    inspected += kTlsRecordHeaderBytes + length;
    if (!gathering_) passed = inspected;
  }
  if (state_ == State::Transparent) return buffered.size();
  withheld_ = inspected - passed;
  return passed;
}

void StreamScreen::release() {
  if (state_ != State::Refused) state_ = State::Transparent;
}

std::optional<ByteView> StreamScreen::identity() const {
  if (role_ != Role::Server || !keyExchange_.complete()) return std::nullopt;
  return pskIdentityOf(keyExchange_.body());
}

std::optional<ByteView> StreamScreen::hint() const {
  if (role_ != Role::Client || !helloDone_) return std::nullopt;
  return pskHintOf(keyExchange_.body()).value_or(ByteView());
}

// Whether the record passes.
bool StreamScreen::inspectRecord(uint8_t type, ByteView fragment) {
  switch (type) {
    case content_type::kHandshake:
      return inspectHandshake(fragment);
    case content_type::kChangeCipherSpec:
      if (asksForKeyAlready()) state_ = State::Transparent;
      return true;
    case content_type::kApplicationData:
      if (role_ == Role::Client) state_ = State::Transparent;
      return true;
    default:
      return true;
  }
}

// Messages may go over several records, and records may carry several (RFC 5246 section 6.2.1).
bool StreamScreen::inspectHandshake(ByteView fragment) {
  if (fragment.empty()) return refuse(Refusal::RecordLength);
  bool asksForKey = false;
  while (!fragment.empty()) {
    if (headerBytes_ < kMessageHeaderBytes) {
      header_[headerBytes_++] = fragment[0];
      fragment = fragment.subspan(1);
      if (headerBytes_ < kMessageHeaderBytes) continue;
      if (!beginMessage()) return false;
    }
    const ByteView part =
        fragment.first(std::min<size_t>(fragment.size(), bodyLength_ - bodyBytes_));
    // Of two the first counts: it is the one that OpenSSL asks a key for.
    if (isKeyExchange() && !keyExchange_.complete()) {
      keyExchange_.add(bodyLength_, bodyBytes_, part);
    }
    bodyBytes_ += static_cast<uint32_t>(part.size());
    fragment = fragment.subspan(part.size());
    if (bodyBytes_ == bodyLength_ && endMessage()) asksForKey = true;
  }
  if (asksForKey && hold_) state_ = State::Holding;
  return state_ == State::Screening;
}

bool StreamScreen::beginMessage() {
  bodyLength_ = static_cast<uint32_t>(header_[1] << 16 | header_[2] << 8 | header_[3]);
  bodyBytes_ = 0;
  if (bodyLength_ > longestMessage()) return refuse(Refusal::MessageLength);
  gathering_ = bodyLength_ > kMaxTlsMessageBytes;
  return true;
}

// Whether this was the message after which OpenSSL asks for the key.
bool StreamScreen::endMessage() {
  headerBytes_ = 0;
  gathering_ = false;
  if (role_ == Role::Server) return isKeyExchange() && identity().has_value();
  if (header_[0] != handshake_type::kServerHelloDone) return false;
  helloDone_ = true;
  return true;
}

bool StreamScreen::refuse(Refusal reason) {
  state_ = State::Refused;
  refusal_ = reason;
  return false;
}

bool StreamScreen::isKeyExchange() const {
  return header_[0] == (role_ == Role::Server ? handshake_type::kClientKeyExchange
                                              : handshake_type::kServerKeyExchange);
}

size_t StreamScreen::longestMessage() const {
  if (isKeyExchange()) return kMaxTlsKeyExchangeBytes;
  const bool hello = role_ == Role::Server && header_[0] == handshake_type::kClientHello;
  return hello ? kMaxTlsClientHelloBytes : kMaxTlsMessageBytes;
}

bool StreamScreen::asksForKeyAlready() const {
  return role_ == Role::Server ? keyExchange_.complete() : helloDone_;
}

const char* nameOf(StreamScreen::Refusal refusal) {
  switch (refusal) {
    case StreamScreen::Refusal::None:
      return "none";
    case StreamScreen::Refusal::NotTls:
      return "not TLS";
    case StreamScreen::Refusal::RecordLength:
      return "record length";
    case StreamScreen::Refusal::MessageLength:
      return "message length";
  }
  return "unknown";
}

}  // namespace mcbn
