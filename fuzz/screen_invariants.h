// screen_invariants.h: what must hold for both DTLS screens, whatever comes.
#pragma once

#include <cstdlib>

#include "record/handshake_screen.h"

namespace mcbn {

inline void require(bool condition) {
  if (!condition) std::abort();
}

// Input: one byte of choices (bit 0: hold; bits 1 to 7: release after so many records), then
// datagrams' records one after another. `afterEach` looks at the screen after each record.
template <typename Screen, typename AfterEach>
void driveScreen(ByteView input, AfterEach afterEach) {
  if (input.empty()) return;
  const bool hold = input[0] & 1;
  const unsigned releaseAfter = input[0] >> 1;
  Screen screen(hold);
  unsigned records = 0, early = 0, encrypted = 0, held = 0;
  size_t heldBytes = 0;
  ByteView rest = input.subspan(1);
  while (const auto record = nextRecord(rest)) {
    const bool changedBefore = screen.changeCipherSpecSeen();
    const bool heldBefore = screen.holding();
    const Verdict verdict = screen.inspect(*record);
    require((verdict == Verdict::Drop) == (screen.dropReason() != DropReason::None));
    if (verdict != Verdict::Drop) {
      require(record->epoch <= 1);
      if (record->epoch == 1) {
        encrypted++;
        if (!changedBefore) early++;
      }
      if (record->epoch == 0) {
        require(record->type == content_type::kHandshake ||
                record->type == content_type::kChangeCipherSpec ||
                record->type == content_type::kAlert);
      }
    }
    if (verdict == Verdict::Hold) {
      require(hold && screen.holding());
      held++;
      heldBytes += record->whole.size();
    }
    require(screen.holding() == (heldBefore || verdict == Verdict::Hold));
    require(early <= kMaxEarlyRecords && encrypted <= kMaxUnprovenRecords);
    require(held <= kMaxHeldRecords && heldBytes <= kMaxHeldBytes);
    afterEach(screen, *record, verdict);
    if (++records == releaseAfter) screen.release();
  }
}

}  // namespace mcbn
