// frame.h: messages on their way from JavaScript, with room for their records.
//
//   | room, its last 12 bytes: endpoint, session, length | message | room |  padded to four bytes
//
// A record is made where its message lies, and leaves from there: JavaScript's copy into the frame
// is the only one.
//
// Ownership   shared by JavaScript's Buffer and the I/O thread: either may go first.
// Thread      JavaScript writes a frame until it submits it; then it is the engine's until the
//             submission is released.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "record/message_room.h"

namespace mcbn {

using Frame = std::shared_ptr<uint8_t[]>;

struct SubmittedRow {
  uint32_t endpoint, session;
  MutableBytes message;  // with kRoomBefore and kRoomBehind bytes around it
  MutableBytes whole;
};

// Takes the next row off the front; nullopt at the end, and when a row lies about its length.
inline std::optional<SubmittedRow> nextRow(MutableBytes& rows) {
  constexpr size_t kRoom = kRoomBefore + kRoomBehind;
  if (rows.size() < kRoom) return std::nullopt;
  uint32_t header[3];
  std::memcpy(header, rows.data() + kRoomBefore - sizeof header, sizeof header);
  const size_t length = header[2];
  if (length > rows.size() - kRoom) return std::nullopt;
  const MutableBytes whole = rows.first(kRoom + length);
  rows = rows.subspan(std::min((whole.size() + 3) / 4 * 4, rows.size()));
  return SubmittedRow{header[0], header[1], whole.subspan(kRoomBefore, length), whole};
}

// Rows of one session that follow each other.
class SubmittedTrain {
 public:
  static constexpr size_t kMost = 64;

  // Takes the next ones off the front; false at the end.
  bool take(MutableBytes& rows) {
    count_ = 0;
    while (count_ < kMost) {
      MutableBytes rest = rows;
      const auto row = nextRow(rest);
      const bool same =
          row &&
          (count_ == 0 || (row->endpoint == rows_[0].endpoint && row->session == rows_[0].session));
      if (!same) break;
      rows_[count_++] = *row;
      rows = rest;
    }
    return count_ > 0;
  }
  std::span<const SubmittedRow> rows() const { return {rows_.data(), count_}; }

 private:
  std::array<SubmittedRow, kMost> rows_;
  size_t count_ = 0;
};

}  // namespace mcbn
