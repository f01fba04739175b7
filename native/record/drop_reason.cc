#include "record/drop_reason.h"

#include <numeric>

namespace mcbn {

const char* nameOf(DropReason reason) {
  switch (reason) {
    case DropReason::None:
      return "none";
    case DropReason::Malformed:
      return "malformed";
    case DropReason::WrongEpoch:
      return "wrongEpoch";
    case DropReason::WrongVersion:
      return "wrongVersion";
    case DropReason::Oversized:
      return "oversized";
    case DropReason::UnexpectedMessage:
      return "unexpectedMessage";
    case DropReason::Contradiction:
      return "contradiction";
    case DropReason::Replayed:
      return "replayed";
    case DropReason::Duplicate:
      return "duplicate";
    case DropReason::Flood:
      return "flood";
    case DropReason::BadMac:
      return "badMac";
    case DropReason::ConnectionId:
      return "connectionId";
    case DropReason::Unreadable:
      return "unreadable";
    case DropReason::Unreserved:
      return "unreserved";
  }
  return "unknown";
}

DropCounts& DropCounts::operator=(const DropCounts& other) {
  counts_ = other.counts_ ? std::make_unique<Counts>(*other.counts_) : nullptr;
  return *this;
}

void DropCounts::add(DropReason reason) {
  if (!counts_) counts_ = std::make_unique<Counts>();
  (*counts_)[static_cast<size_t>(reason)] += 1;
}

uint64_t DropCounts::of(DropReason reason) const {
  return counts_ ? (*counts_)[static_cast<size_t>(reason)] : 0;
}

uint64_t DropCounts::total() const {
  return counts_ ? std::accumulate(counts_->begin(), counts_->end(), uint64_t{0}) : 0;
}

}  // namespace mcbn
