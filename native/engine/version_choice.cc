#include "engine/version_choice.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "dtls13/record_frame.h"
#include "record/dtls_record.h"
#include "record/handshake_fragment.h"

namespace mcbn {
namespace {

// Old devices drop a hello that they do not know, or that is too long for them, without a word. After so many
// repeats that nobody answers, 3 s by default, DTLS 1.2 is tried as well; after 7 s, if a message of DTLS 1.3
// has come that may be a stranger's. A handshake has 10 s.
constexpr uint64_t kUnansweredRepeats = 2, kBarrenRepeats = 3;
constexpr std::string_view kTimeout = "MCBN_HANDSHAKE_TIMEOUT";

// What a server says that cannot do anything with the hello. Others tell of a key or an identity,
// so the hello was understood.
bool saysOlder(uint8_t description) {
  constexpr std::array kAlerts = {alert::kProtocolVersion,      alert::kHandshakeFailure,
                                  alert::kInsufficientSecurity, alert::kDecodeError,
                                  alert::kUnexpectedMessage,    alert::kInternalError};
  return std::ranges::find(kAlerts, description) != kAlerts.end();
}

// The server does not want DTLS 1.2, or must not have it.
bool refusesOlder(const Failure& failure) {
  return failure.alert == alert::kInappropriateFallback ||
         failure.alert == alert::kProtocolVersion ||
         std::string_view(failure.code) == "MCBN_PROTOCOL_ERROR";
}

// 0x13..: of TLS 1.3. nullopt: the fragment does not reach that far.
std::optional<bool> selects13(ByteView hello) {
  constexpr size_t kVersionAndRandom = 34;
  Reader reader(hello);
  ByteView skipped, session_id;
  uint16_t suite = 0;
  if (!reader.take(kVersionAndRandom, skipped) || !reader.vector8(session_id) ||
      !reader.u16(suite)) {
    return std::nullopt;
  }
  return suite >> 8 == 0x13;
}

}  // namespace

VersionChoice::For VersionChoice::route(ByteView datagram) {
  if (dtls13::isEncrypted(datagram[0])) return For::Newer;
  const auto record = nextRecord(datagram);
  if (!record) return For::Older;  // which counts it
  if (record->type == content_type::kAck) return For::Newer;
  if (record->epoch == 0 && record->type == content_type::kHandshake) {
    return routeHandshake(record->fragment);
  }
  if (record->epoch == 0 && record->type == content_type::kAlert) {
    return routeAlert(record->fragment);
  }
  return For::Older;
}

VersionChoice::For VersionChoice::routeHandshake(ByteView message) {
  Reader reader(message);
  const auto fragment = nextFragment(reader);
  if (!fragment) return For::Older;
  if (fragment->type == handshake_type::kServerHello) {
    if (fragment->offset > 0) return hello_for_;
    const auto newer = selects13(fragment->body);
    hello_for_ = newer.value_or(!older_begun_) ? For::Newer : For::Older;
    heard_newer_ = heard_newer_ || newer == true;
    if (hello_for_ == For::Newer) return For::Newer;
  }
  heard_older_ = wants_older_ = true;
  return For::Older;
}

// It does not say which hello it answers, and either handshake doubts what is in the clear.
VersionChoice::For VersionChoice::routeAlert(ByteView alert) {
  if (alert.size() != 2) return For::Older;
  if (alert[1] == alert::kInappropriateFallback) return For::Older;
  wants_older_ = wants_older_ || (alert[0] == alert::kFatal && saysOlder(alert[1]));
  return For::Both;
}

void VersionChoice::repeated(uint64_t times) {
  if (times >= (heard_newer_ ? kBarrenRepeats : kUnansweredRepeats)) wants_older_ = true;
}

std::optional<Failure> VersionChoice::newerFailed(Failure failure) {
  newer_ = std::move(failure);
  if (older_begun_ ? !older_ : wants_older_) return std::nullopt;
  return outcome();
}

std::optional<Failure> VersionChoice::olderFailed(Failure failure) {
  older_ = std::move(failure);
  // A server that speaks DTLS 1.3 is still to be heard.
  if (!newer_ && (heard_newer_ || refusesOlder(*older_))) return std::nullopt;
  return outcome();
}

Failure VersionChoice::outcome() const {
  if (!older_) return *newer_;
  if (!newer_) return *older_;
  const bool silent = newer_->code == kTimeout;
  if (older_->alert == alert::kInappropriateFallback && silent) {
    return {
        .code = "MCBN_HANDSHAKE_FAILED",
        .message =
            "the server speaks DTLS 1.3 and refused DTLS 1.2 (inappropriate_fallback), but what "
            "it says in DTLS 1.3 does not arrive: it is lost, or somebody keeps it away",
        .reason = {},
        .alert = older_->alert};
  }
  if (refusesOlder(*older_)) return silent ? *older_ : *newer_;
  if (heard_newer_) return *newer_;
  if (heard_older_ || (silent && older_->code != kTimeout)) return *older_;
  if (!silent) return *newer_;
  return {.code = "MCBN_HANDSHAKE_TIMEOUT",
          .message =
              "nobody answered, neither to DTLS 1.3 nor to DTLS 1.2; check host, port and "
              "firewall"};
}

}  // namespace mcbn
