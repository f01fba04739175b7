// recent_refusals.h: hellos of DTLS 1.3 whose key was refused, so that the same hello gets the same
// answer when it comes again: its client doubts an alert in the clear and repeats itself. Without it
// each repetition would begin a handshake, and look the key up, anew.
//
// Memory      none before the first refusal; then kKept entries, of which a new one displaces the
//             oldest.
// Ownership   a ServerEndpoint's.
// Thread      the I/O thread.
// Spec        RFC 9147 section 4.5.2 (alerts in the clear), RFC 8446 section 4.2.11 (refused keys)
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "base/address_bytes.h"

namespace mcbn {

class RecentRefusals {
 public:
  using Random = std::array<uint8_t, 32>;

  // `random`: of the ClientHello. A hello has a random that no other has.
  void remember(const AddressBytes& from, const Random& random, uint8_t alert) {
    if (entries_.size() < kKept) {
      entries_.push_back({from, random, alert});
    } else {
      entries_[next_++ % kKept] = {from, random, alert};
    }
  }
  // The alert that it was refused with; nullopt: it was not, or too long ago.
  std::optional<uint8_t> of(const AddressBytes& from, ByteView random) const {
    const auto found = std::ranges::find_if(entries_, [&](const Entry& entry) {
      return std::ranges::equal(entry.random, random) &&
             std::ranges::equal(entry.from.view(), from.view());
    });
    return found == entries_.end() ? std::nullopt : std::optional(found->alert);
  }

 private:
  static constexpr size_t kKept = 64;

  struct Entry {
    AddressBytes from;
    Random random;
    uint8_t alert;
  };
  std::vector<Entry> entries_;
  size_t next_ = 0;
};

}  // namespace mcbn
