// reservation.h: which record numbers an open session may use before its row in a session store says
// so. After a crash the row is all that is known, so it must be ahead of the truth, never behind it.
//
//   propose() --> a row is written --> grant() --> numbers up to the row's limits may be used
//
//   to send       numbers below `write`: in a crash those left of a block are skipped, which no peer minds
//   to receive    numbers below `read`: in a crash all of them count as seen
//
// What is received must not be skipped by the thousand, or the peer would not be heard for as long. So
// the block grows and shrinks with the traffic, and a session that has been silent for a second gives
// back what it has not used: it has *settled*, and a crash costs it nothing. A record beyond `read`
// is authentic, and waits until the limit has been raised.
//
// Of DTLS 1.3 a number counts all epochs: the epoch, and behind it the 48 bits of the record's own. So a row
// that knows an epoch only up to its KeyUpdate covers nothing of the next.
//
// Numbers alone: no clock, no memory but the records that wait.
//
// Ownership   an OpenSession owns it; there is none without a store.
// Thread      the session's.
// Spec        docs/SESSIONS.md, "After a crash"
#pragma once

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/time.h"
#include "record/record_layer.h"

namespace mcbn {

// An authentic record whose number is not reserved yet, decrypted.
struct HeldRecord {
  uint64_t sequence;
  uint8_t type;
  Bytes fragment;
};

class Reservation {
 public:
  // Numbers at a time, to send. Half of them are a sixteenth of a second at full speed.
  static constexpr uint64_t kWriteBlock = 1 << 16;
  // To receive: at least, at most.
  static constexpr uint64_t kShortest = 8, kLongest = 1 << 16;
  static constexpr Milliseconds kSettle = 1'000;
  // A block of which three quarters were used up faster is doubled, one that lasted longer than kSettle
  // halved. So a busy session has one or two rows a second, and a crash costs it 4/3 s at most.
  static constexpr Milliseconds kFast = 500;
  // Records that wait at most, and their bytes.
  static constexpr size_t kMostHeld = 4'096, kMostHeldBytes = 1 << 20;
  // Of all sessions of the process.
  static constexpr size_t kMostHeldByAll = 64 << 20;

  // How many numbers at a time: to send, to send for the first time after a crash, to receive at most; and where
  // they end.
  struct Blocks {
    uint64_t write, restored, read, end;
  };
  static constexpr Blocks kOf12{kWriteBlock, kWriteBlock, kLongest, uint64_t{1} << 48};
  // Records of DTLS 1.3 tell 16 bits of their number (RFC 9147 section 4.2.2): a peer that is 32,768 behind reads
  // another one. So a crash skips half of that at most, and a few without a message in between a little each.
  static constexpr Blocks kOf13{1 << 14, 1 << 11, 1 << 14, UINT64_MAX};

  // `blocks_a_record`: cipher blocks that a record of ours has at most.
  // Of a session without a row: what the first one will say holds at once, since without it nobody
  // can go on with the session. Of one that came from a row nothing is free before the next row.
  Reservation(const RecordPosition& position, bool from_row, uint64_t blocks_a_record,
              Milliseconds now, const Blocks& blocks = kOf12)
      : blocks_(blocks),
        write_block_(blocks.write),
        restored_at_(from_row ? position.next_write : UINT64_MAX),
        granted_{from_row ? position.next_write : position.next_write + blocks.write,
                 position.newest_read + 1 + (from_row ? 0 : kShortest)},
        noted_(position.newest_read),
        heard_at_(now),
        blocks_a_record_(blocks_a_record),
        first_(!from_row),
        settled_(from_row) {}

  ~Reservation() { all_held_ -= held_bytes_; }
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;

  NumberLimits granted() const { return granted_; }
  bool pending() const { return pending_; }
  // Records wait for the next row.
  bool holds() const { return !held_.empty(); }
  // More than half of the numbers to send are used up, and nothing more is left for the time of a slow write.
  bool presses(uint64_t next_write) const {
    return granted_.write - std::min(granted_.write, next_write) < write_block_ / 2;
  }

  // Whether a row has to be written, and propose() is to be called.
  bool due(uint64_t next_write, uint64_t newest_read, Milliseconds now) {
    if (newest_read != noted_) {
      noted_ = newest_read;
      heard_at_ = now;
    }
    if (pending_) return false;
    return wanted_ || !held_.empty() || presses(next_write) ||
           (!settled_ && noted_ + 1 + slack() > granted_.read) || settleAt() <= now;
  }
  // When due() wants to be asked; kNever if not at all.
  Milliseconds settleAt() const {
    return pending_ || settled_ || !held_.empty() ? kNever : heard_at_ + kSettle;
  }
  // Something else that the row has is not true any more, such as the peer's address.
  void want() { wanted_ = true; }

  // Where a session must go on whose row is about to be written. granted() may have become less.
  RecordPosition propose(const RecordPosition& position, Milliseconds now) {
    MCBN_ASSERT(!pending_);
    // The first row changes nothing: what it says has been granted already.
    if (!first_) chooseLimits(position, now);
    first_ = wanted_ = false;
    pending_ = true;
    RecordPosition resumed = position;
    resumed.next_write = proposed_.write;
    resumed.newest_read = proposed_.read - 1;
    resumed.seen = ~uint64_t{0};
    resumed.blocks += (proposed_.write - position.next_write) * blocks_a_record_;
    return resumed;
  }
  // The row is where no crash can take it away.
  void grant() {
    if (!pending_) return;
    pending_ = false;
    granted_ = proposed_;
  }

  // False: there is no room.
  bool hold(HeldRecord record) {
    const size_t bytes = record.fragment.size();
    if (held_.size() >= kMostHeld || held_bytes_ + bytes > kMostHeldBytes) return false;
    if (all_held_ + bytes > kMostHeldByAll) return false;
    held_bytes_ += bytes;
    all_held_ += bytes;
    held_.push_back(std::move(record));
    return true;
  }
  // Those that granted() covers, in the order in which they came.
  std::vector<HeldRecord> takeHeld() {
    std::vector<HeldRecord> taken;
    std::vector<HeldRecord> rest;
    all_held_ -= std::exchange(held_bytes_, 0);
    for (HeldRecord& record : held_) {
      const bool covered = record.sequence < granted_.read;
      if (!covered) held_bytes_ += record.fragment.size();
      (covered ? taken : rest).push_back(std::move(record));
    }
    all_held_ += held_bytes_;
    held_ = std::move(rest);
    return taken;
  }

 private:
  // Numbers to receive that are left when more are asked for: what comes while the row is written.
  uint64_t slack() const { return std::max(kShortest / 2, block_ / 4); }

  void chooseLimits(const RecordPosition& position, Milliseconds now) {
    proposed_ = granted_;
    if (presses(position.next_write)) {
      write_block_ = position.next_write == restored_at_ ? blocks_.restored : blocks_.write;
      proposed_.write = std::min(blocks_.end, position.next_write + write_block_);
    }
    if (settleAt() <= now) {
      settled_ = true;
      block_ = std::max(kShortest, block_ / 2);
      proposed_.read = granted_.read = position.newest_read + 1;
      return;
    }
    uint64_t highest = position.newest_read;
    for (const HeldRecord& record : held_) highest = std::max(highest, record.sequence);
    // A settled session that nobody has written to stays as it is, unless it has gone on to another epoch.
    if (settled_ && held_.empty() && position.newest_read < granted_.read) return;
    if (highest + 1 + slack() <= granted_.read) return;
    if (now - asked_at_ < kFast) {
      block_ = std::min(blocks_.read, block_ * 2);
    } else if (now - asked_at_ > kSettle) {
      block_ = std::max(kShortest, block_ / 2);
    }
    block_ = std::clamp<uint64_t>(2 * held_.size(), block_, blocks_.read);
    asked_at_ = now;
    settled_ = false;
    heard_at_ = now;
    proposed_.read = std::min(blocks_.end, std::max(granted_.read, highest + 1 + block_));
  }

  inline static std::atomic<size_t> all_held_ = 0;

  const Blocks blocks_;
  uint64_t write_block_;
  const uint64_t restored_at_;  // the number to send of a session that came from a row
  NumberLimits granted_;
  NumberLimits proposed_ = granted_;
  uint64_t block_ = kShortest;
  uint64_t noted_;
  Milliseconds heard_at_;      // when a number was last received that was newer than all before
  Milliseconds asked_at_ = 0;  // when numbers to receive were last asked for
  const uint64_t blocks_a_record_;
  bool first_;  // no row has been written yet
  bool wanted_ = true;
  bool pending_ = false;
  bool settled_;
  std::vector<HeldRecord> held_;
  size_t held_bytes_ = 0;
};

}  // namespace mcbn
