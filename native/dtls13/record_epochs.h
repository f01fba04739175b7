// record_epochs.h: one epoch of records in one direction, as Records has it.
//
// Ownership   Records owns one for each epoch that lives.
// Thread      the session's.
// Spec        RFC 9147 sections 4.2 and 4.5
#pragma once

#include <algorithm>
#include <utility>

#include "dtls13/records.h"

namespace mcbn::dtls13 {

// Numbers have 64 bits; 48 of them are more than any key may protect, and what ReplayWindow takes.
constexpr uint64_t kSequences = uint64_t{1} << 48;

inline KeyWear wearOf(uint64_t used, uint64_t limit) {
  if (used >= limit) return KeyWear::Spent;
  return used >= limit / 2 ? KeyWear::Renew : KeyWear::Fine;
}

struct Records::ReadEpoch {
  ReadEpoch(uint64_t number, const Suite& suite, TrafficKeys keys, size_t replay_window)
      : epoch(number),
        cipher(suite, RecordCipher::Direction::Open, std::move(keys)),
        window(replay_window) {}

  KeyWear wear() const { return wearOf(forgeries, cipher.suite().forgeries); }
  uint64_t expected() const { return std::max(found, any ? window.newest() + 1 : 0); }

  const uint64_t epoch;
  RecordCipher cipher;
  ReplayWindow window;
  uint64_t forgeries = 0;
  uint64_t in_vain = 0;  // records since the last authentic one
  uint64_t farther = 0;  // how many spans of numbers further on was looked last
  uint64_t found = 0;    // a number that is authentic there
  bool any = false;
  bool closed = false;  // data and path messages count as seen
};

struct Records::WriteEpoch {
  WriteEpoch(uint64_t number, const Suite& suite, TrafficKeys keys)
      : epoch(number), cipher(suite, RecordCipher::Direction::Seal, std::move(keys)) {}

  KeyWear wear() const {
    return std::max(wearOf(blocks, cipher.suite().blocks), wearOf(next, kSequences));
  }
  // The number of a record with so much content, used up whatever becomes of it.
  uint64_t take(size_t content) {
    blocks += content / 16 + 3;
    return next++;
  }

  const uint64_t epoch;
  RecordCipher cipher;
  uint64_t next = 0;
  uint64_t blocks = 0;
};

}  // namespace mcbn::dtls13
