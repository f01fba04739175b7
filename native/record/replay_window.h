// replay_window.h: which record sequence numbers of an epoch were seen already: a bit for each of
// the newest `size`; what is older counts as seen (RFC 6347 section 4.1.2.6).
//
// Up to 64 numbers live in the object, 16 bytes in all. More are a ring of words, allocated, of
// which one more than the window needs is kept: the oldest word is cleared as a whole when the
// window moves into it (RFC 6479 section 2).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace mcbn {

class ReplayWindow {
 public:
  static constexpr size_t kSmallest = 32;  // RFC 6347: MUST be supported; 64 is preferred
  static constexpr size_t kDefault = 64;
  static constexpr size_t kLargest = 65'536;

  explicit ReplayWindow(size_t size = kDefault)
      : newest_(0), last_age_(std::clamp(size, kSmallest, kLargest) - 1) {
    if (inlined()) {
      bits_ = 0;
    } else {
      ring_ = new uint64_t[words()]();
    }
  }
  ~ReplayWindow() {
    if (!inlined()) delete[] ring_;
  }
  ReplayWindow(const ReplayWindow&) = delete;
  ReplayWindow& operator=(const ReplayWindow&) = delete;

  size_t size() const { return size_t{last_age_} + 1; }

  bool seen(uint64_t sequence) const {
    if (sequence > newest_) return false;
    const uint64_t age = newest_ - sequence;
    if (age > last_age_) return true;
    if (inlined()) return bits_ >> age & 1;
    return ring_[sequence / kWord % words()] >> sequence % kWord & 1;
  }

  // Of the newest 64, bit i: newest() - i was seen.
  uint64_t newestSeen() const {
    if (inlined()) return bits_ | ~uint64_t{0} << last_age_ << 1;
    uint64_t bits = 0;
    for (uint64_t age = 0; age < kWord && age <= newest_; ++age) {
      bits |= uint64_t{seen(newest_ - age)} << age;
    }
    return bits;
  }
  // Goes on where another window was: what is older than its newest 64 counts as seen.
  void resume(uint64_t newest, uint64_t seen) {
    newest_ = newest & kNumber;
    if (inlined()) {
      bits_ = seen;
      return;
    }
    std::fill_n(ring_, words(), ~uint64_t{0});
    // Numbers that are still to come share a word with the newest.
    for (uint64_t i = newest + 1; i % kWord != 0; ++i) clear(i);
    for (uint64_t age = 0; age < kWord && age <= newest; ++age) {
      if (!(seen >> age & 1)) clear(newest - age);
    }
  }

  // The highest that was marked.
  uint64_t newest() const { return newest_; }

  // `sequence` has 48 bits, as in a DTLS record.
  void mark(uint64_t sequence) {
    if (inlined()) return markInlined(sequence);
    if (sequence > newest_) {
      // A leap enters every word once.
      const uint64_t last = sequence / kWord;
      const uint64_t entered = std::min<uint64_t>(last - newest_ / kWord, words());
      for (uint64_t i = 0; i < entered; ++i) ring_[(last - i) % words()] = 0;
      newest_ = sequence & kNumber;
    } else if (newest_ - sequence > last_age_) {
      return;
    }
    ring_[sequence / kWord % words()] |= uint64_t{1} << sequence % kWord;
  }

 private:
  static constexpr uint64_t kWord = 64;
  static constexpr uint64_t kNumber = (uint64_t{1} << 48) - 1;

  bool inlined() const { return last_age_ < kWord; }
  // The window's numbers lie in so many words at most, wherever it stands. At least one, which the
  // static analysis cannot see in the sum.
  size_t words() const { return std::max<size_t>(1, size_t{last_age_} / kWord + 2); }

  void clear(uint64_t sequence) {
    ring_[sequence / kWord % words()] &= ~(uint64_t{1} << sequence % kWord);
  }

  void markInlined(uint64_t sequence) {
    if (sequence > newest_) {
      const uint64_t ahead = sequence - newest_;
      bits_ = ahead >= kWord ? 1 : bits_ << ahead | 1;
      newest_ = sequence & kNumber;
    } else if (newest_ - sequence < kWord) {
      bits_ |= uint64_t{1} << (newest_ - sequence);
    }
  }

  uint64_t newest_ : 48;
  uint64_t last_age_ : 16;  // one less than the size
  union {
    uint64_t bits_;   // bit i: newest_ - i
    uint64_t* ring_;  // bit i of a word: the number that is i modulo 64
  };
};
static_assert(sizeof(ReplayWindow) == 16, "every idle session has one");

}  // namespace mcbn
