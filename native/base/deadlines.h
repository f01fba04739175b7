// deadlines.h: which of many things is due next.
//
// Ownership   none: things have numbers here.
#pragma once

#include <optional>
#include <set>
#include <unordered_map>

#include "base/time.h"

namespace mcbn {

class Deadlines {
 public:
  // Replaces the deadline of `key`; kNever takes it away.
  void set(uint32_t key, Milliseconds at) {
    const auto found = at_.find(key);
    if (found != at_.end()) {
      if (found->second == at) return;
      order_.erase({found->second, key});
      if (at == kNever) {
        at_.erase(found);
        return;
      }
      found->second = at;
    } else if (at == kNever) {
      return;
    } else {
      at_.emplace(key, at);
    }
    order_.emplace(at, key);
  }
  // Only moves a deadline to an earlier time. The caller of pop() looks whether the key is really
  // due, and calls this again if it is not: so no datagram has to move a deadline.
  void atLatest(uint32_t key, Milliseconds at) {
    const auto found = at_.find(key);
    if (found == at_.end() || at < found->second) set(key, at);
  }
  void erase(uint32_t key) { set(key, kNever); }

  Milliseconds next() const { return order_.empty() ? kNever : order_.begin()->first; }
  // Takes one that is due.
  std::optional<uint32_t> pop(Milliseconds now) {
    if (next() > now) return std::nullopt;
    const uint32_t key = order_.begin()->second;
    erase(key);
    return key;
  }

 private:
  std::set<std::pair<Milliseconds, uint32_t>> order_;
  std::unordered_map<uint32_t, Milliseconds> at_;
};

}  // namespace mcbn
