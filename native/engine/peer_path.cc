#include "engine/peer_path.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>

namespace mcbn {

bool PeerPath::spend(size_t bytes) {
  if (!affords(bytes)) return false;
  allowance_ -= bytes;
  return true;
}

void PeerPath::beginCheck(Milliseconds now, Milliseconds round_trip) {
  const Milliseconds time = std::max(kShortestCheck, 3 * round_trip);
  check_.emplace(Check{.cookies = {}, .next = now, .interval = time / kChallenges});
}

std::optional<PathCookie> PeerPath::nextChallenge(Milliseconds now) {
  MCBN_ASSERT(due(now));
  if (!check_ || check_->challenges == kChallenges) return std::nullopt;
  check_->challenges += 1;
  check_->next = now + check_->interval;
  // RFC 9853 section 8: fresh for each, or an old answer could be played again.
  PathCookie& cookie = check_->cookies[check_->made];
  if (RAND_bytes(cookie.data(), static_cast<int>(cookie.size())) != 1) return std::nullopt;
  check_->made += 1;
  return cookie;
}

bool PeerPath::answers(const PathCookie& cookie) const {
  if (!check_) return false;
  const auto sent = std::span(check_->cookies).first(check_->made);
  return std::ranges::any_of(sent, [&](const PathCookie& one) {
    return CRYPTO_memcmp(one.data(), cookie.data(), cookie.size()) == 0;
  });
}

}  // namespace mcbn
