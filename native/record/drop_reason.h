// drop_reason.h: why a record went no further, and how many did for each reason.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace mcbn {

enum class DropReason : uint8_t {
  None,
  Malformed,          // the record's content is not what its type says
  WrongEpoch,         // neither 0 nor 1; DTLS 1.3: no keys of it are here
  WrongVersion,       // not DTLS 1.2 where only that can be meant
  Oversized,          // the message announces more than its limit
  UnexpectedMessage,  // no part of a PSK handshake, or not at this point
  Contradiction,      // disagrees with an earlier fragment of the same message
  Replayed,           // this record sequence number was seen before, or is older than the window
  Duplicate,          // repeats what is being held
  Flood,              // more of its kind than any handshake needs
  BadMac,             // an encrypted record that is not authentic
  ConnectionId,       // an encrypted record without the connection ID agreed on, or with another
  Unreadable,         // OpenSSL's record layer took nothing: replayed, or not authentic
  Unreserved,         // the session store has not taken its number in time
};
constexpr size_t kDropReasons = static_cast<size_t>(DropReason::Unreserved) + 1;

// The name of a counter, such as "badMac".
const char* nameOf(DropReason reason);

// Counters by reason; one pointer until something is dropped, as for most sessions nothing ever is.
class DropCounts {
 public:
  DropCounts() = default;
  DropCounts(const DropCounts& other) { *this = other; }
  DropCounts& operator=(const DropCounts& other);

  void add(DropReason reason);
  uint64_t of(DropReason reason) const;
  uint64_t total() const;

 private:
  using Counts = std::array<uint64_t, kDropReasons>;
  std::unique_ptr<Counts> counts_;
};

}  // namespace mcbn
