// arrivals.h: datagrams of sessions that are on their way here from another node: kept until they have
// come, for a moment.
//
// Ownership   a ServerEndpoint has one, where there is a fleet.
// Thread      the I/O thread.
#pragma once

#include <algorithm>
#include <deque>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "datagram/address.h"

namespace mcbn {

class Arrivals {
 public:
  struct Held {
    Address from;
    Bytes id;
    Bytes datagram;
    Milliseconds until;
  };
  static constexpr Milliseconds kPatience = 2'000;
  static constexpr size_t kMostBytes = 4 << 20;

  // False: there is no room.
  bool hold(const Address& from, ByteView id, ByteView datagram, Milliseconds now) {
    expire(now);
    const size_t bytes = sizeof(Held) + id.size() + datagram.size();
    if (bytes_ + bytes > kMostBytes) return false;
    bytes_ += bytes;
    held_.push_back({from, Bytes(id.begin(), id.end()), Bytes(datagram.begin(), datagram.end()),
                     now + kPatience});
    return true;
  }
  // Those of one session, in the order in which they came.
  std::vector<Held> take(ByteView id) {
    std::vector<Held> found;
    if (held_.empty()) return found;
    std::erase_if(held_, [&](Held& each) {
      if (!std::ranges::equal(each.id, id)) return false;
      bytes_ -= sizeOf(each);
      found.push_back(std::move(each));
      return true;
    });
    return found;
  }
  // Forgets what nobody has come for.
  void expire(Milliseconds now) {
    while (!held_.empty() && held_.front().until <= now) {
      bytes_ -= sizeOf(held_.front());
      held_.pop_front();
    }
  }
  bool empty() const { return held_.empty(); }

 private:
  static size_t sizeOf(const Held& held) {
    return sizeof(Held) + held.id.size() + held.datagram.size();
  }

  std::deque<Held> held_;
  size_t bytes_ = 0;
};

}  // namespace mcbn
