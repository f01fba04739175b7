// message_inbox.h: the peer's handshake messages, put together from fragments and in order.
//
// Messages in the clear may be anybody's: of those only the next one is taken, and a fragment that
// disagrees with what is there begins it anew, so that the first forgery does not shut the peer out.
//
// Memory      nothing until a fragment comes; then at most kWindow messages of kMostMessageBytes, from a
//             client of kMostClientBytes, all but one of them from authentic records. A client with a key
//             may leave them in parts for as long as its session lasts.
// Thread      the session's.
// Spec        RFC 9147 sections 5.2 (next_receive_seq) and 5.5 (reassembly)
#pragma once

#include <algorithm>
#include <array>
#include <memory>

#include "record/handshake_fragment.h"
#include "record/message_assembler.h"

namespace mcbn::dtls13 {

// Bytes of a message: of a ServerHello, and of what is authentic (a ticket may be long).
constexpr size_t kMostClearBytes = 4096;
constexpr size_t kMostMessageBytes = 16'384;
// Of a client none is long: connection IDs are the longest, seldom more than one.
constexpr size_t kMostClientBytes = 2048;

class MessageInbox {
 public:
  enum class Added : uint8_t {
    Kept,
    Ahead,    // kept, and something before it is missing
    Old,      // of a message that is through
    Refused,  // not kept
    Changed,  // an authentic record contradicts another (RFC 9147 section 5.5)
  };

  // `most`: bytes of an authentic message.
  explicit MessageInbox(uint16_t most = kMostMessageBytes) : most_(most) {}

  void startAt(uint32_t next) { next_ = next; }
  // Nothing is there in part.
  bool idle() const { return !slots_; }
  // 65,536: there is no other (RFC 9147 section 5.2: numbers do not begin anew).
  uint32_t next() const { return next_; }

  Added add(const HandshakeFragment& fragment, uint64_t epoch) {
    if (fragment.messageSequence < next_) return Added::Old;
    const uint32_t ahead = fragment.messageSequence - next_;
    if (ahead >= kWindow || (epoch == 0 && ahead > 0)) return Added::Refused;
    if (fragment.length > (epoch == 0 ? kMostClearBytes : most_)) {
      return Added::Refused;
    }
    if (!slots_) slots_ = std::make_unique<Slots>();
    Slot& slot = (*slots_)[fragment.messageSequence % kWindow];
    const bool begun = slot.message.started();
    // What is encrypted is not displaced by what is not.
    if (begun && slot.epoch > epoch) return Added::Refused;
    if (begun && (slot.epoch < epoch || slot.type != fragment.type)) {
      if (slot.epoch == epoch && epoch != 0) return Added::Changed;
      slot.message.reset();
    }
    slot.type = fragment.type;
    slot.epoch = epoch;
    auto added = slot.message.add(fragment.length, fragment.offset, fragment.body);
    if (added == MessageAssembler::Added::Refused) {
      if (epoch != 0) return Added::Changed;
      slot.message.reset();
      added = slot.message.add(fragment.length, fragment.offset, fragment.body);
      if (added == MessageAssembler::Added::Refused) return Added::Refused;
    }
    return ahead > 0 || (!begun && fragment.offset > 0) ? Added::Ahead : Added::Kept;
  }

  // The next message, if it is whole: its body stays until pop() or forget().
  bool ready() const { return slots_ && slot().message.complete(); }
  uint8_t type() const { return slot().type; }
  uint64_t epoch() const { return slot().epoch; }
  ByteView body() const { return slot().message.body(); }
  void pop() {
    forget();
    next_ += 1;
  }
  // It was not the peer's: waits for the same message again.
  void forget() {
    (*slots_)[next_ % kWindow].message.reset();
    const auto started = [](const Slot& slot) { return slot.message.started(); };
    if (std::ranges::none_of(*slots_, started)) slots_.reset();
  }

 private:
  static constexpr uint16_t kWindow = 4;  // ServerHello, EncryptedExtensions, Finished, and one

  struct Slot {
    uint8_t type = 0;
    uint64_t epoch = 0;
    MessageAssembler message{kMostMessageBytes};
  };
  using Slots = std::array<Slot, kWindow>;
  const Slot& slot() const { return (*slots_)[next_ % kWindow]; }

  std::unique_ptr<Slots> slots_;  // null while nothing is put together
  uint32_t next_ = 0;
  uint16_t most_;
};

}  // namespace mcbn::dtls13
