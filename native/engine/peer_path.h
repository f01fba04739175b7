// peer_path.h: an address that a peer with a connection ID was heard from, and that is not known to
// be the peer's yet: an attacker can send the peer's own datagram on from the address of a third.
//
// Until then no more than three times what came from there is sent there (RFC 9853 section 2). The
// return routability check ends that where both sides do it; else the application may (RFC 9146
// section 6 leaves the way open), or the peer comes back to the address known before.
//
// Ownership   an Association whose peer has moved has one.
// Thread      the I/O thread.
#pragma once

#include <array>
#include <optional>

#include "base/time.h"
#include "datagram/address.h"
#include "record/path_message.h"

namespace mcbn {

class PeerPath {
 public:
  PeerPath(const Address& to, const Address& confirmed) : to_(to), confirmed_(confirmed) {}

  const Address& to() const { return to_; }
  // The address to go back to.
  const Address& confirmed() const { return confirmed_; }

  // An authentic datagram of so many bytes came from to().
  void heard(size_t bytes) { allowance_ += kAmplification * bytes; }
  bool affords(size_t bytes) const { return bytes <= allowance_; }
  // Whether so many bytes may be sent to to(); counts them.
  bool spend(size_t bytes);

  // The check: some challenges, evenly spread over a time, and an answer to any of them.
  void beginCheck(Milliseconds now, Milliseconds round_trip);
  bool checking() const { return check_.has_value(); }
  // When the next challenge is due, or the check has failed; kNever without one.
  Milliseconds deadline() const { return check_ ? check_->next : kNever; }
  bool failed(Milliseconds now) const {
    return check_ && check_->challenges == kChallenges && due(now);
  }
  bool due(Milliseconds now) const { return check_ && check_->next <= now; }
  // The cookie of the challenge that is due: random. nullopt: there is no randomness.
  std::optional<PathCookie> nextChallenge(Milliseconds now);
  bool answers(const PathCookie& cookie) const;

 private:
  static constexpr uint64_t kAmplification = 3;
  static constexpr unsigned kChallenges = 3;
  // RFC 9853 section 5.6: three round trips, one second if they are not known. The new path may be
  // slower than the old one, so never less than that second.
  static constexpr Milliseconds kShortestCheck = 1'000;

  struct Check {
    std::array<PathCookie, kChallenges> cookies;
    unsigned made = 0;        // of the cookies
    unsigned challenges = 0;  // that were due
    Milliseconds next;
    Milliseconds interval;
  };

  Address to_;
  Address confirmed_;
  uint64_t allowance_ = 0;
  std::optional<Check> check_;
};

}  // namespace mcbn
