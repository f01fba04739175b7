// admission.h: who may begin a handshake with a server, and who has to go for whom.
//
//   cookie echoed --begin()--> handshake --opened()--> session --ended()--> gone
//                  no: not answered      |
//                                        full: the session that was silent longest, on whichever
//                                        thread, gives its place; none: the newcomer goes
//
// The limits hold for a server as a whole, so all its endpoints share one. Only a peer that has
// proved its key displaces a session: until then a newcomer is one of maxHandshakes, whatever it
// sends. And only a session that was silent for evictAfter is displaced: whoever holds one key can
// open any number of sessions, and must not empty the server of others that are in use.
//
// Ownership   shared by the endpoints of a server; each joins with a member of its own.
// Thread      any, behind a mutex: asked once or twice a handshake, never for a datagram. A
//             member's silence is written by its endpoint's thread and read by all.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "datagram/address.h"

namespace mcbn {

// What a limit per host counts by.
std::string hostKey(const Address& address);

struct AdmissionLimits {
  size_t max_sessions = 100'000;  // handshakes included
  // Unfinished at a time. Each costs OpenSSL's 70 to 120 KB until it is done or given up.
  // One host may hold half of them, so that it cannot shut everybody else out.
  size_t max_handshakes = 4'096;
  size_t max_sessions_per_host = 0;  // 0: no limit
  Milliseconds evict_after = 0;      // 0: never
};

class Admission {
 public:
  // What one endpoint has to do with it.
  class Member {
   public:
    // `evict`: has the endpoint's thread call takeEvictions() soon. Called under the mutex, by the
    // thread of another member.
    explicit Member(std::function<void()> evict) : evict_(std::move(evict)) {}

    // When the endpoint's most silent session was last heard; kNever when it has none.
    void silentSince(Milliseconds time) { silent_since_.store(time, std::memory_order_relaxed); }

   private:
    friend class Admission;
    std::function<void()> evict_;
    std::atomic<Milliseconds> silent_since_ = kNever;
    size_t evictions_ = 0;  // sessions that have lost their place and are still open
  };

  explicit Admission(const AdmissionLimits& limits) : limits_(limits) {}

  void join(Member& member);
  void leave(Member& member);

  // Counts a handshake, if there is room for it. `replaces`: another one of its own that ends with
  // it, so there is room.
  bool begin(const std::string& host, bool replaces, Milliseconds now);
  // The handshake is done and the peer has proved its key. False when there is no place for another
  // session: it is to end as a handshake that came to nothing. True may have cost `member` sessions
  // of its own: takeEvictions().
  bool opened(Member& member, const std::string& host, Milliseconds now);
  // A session that came from elsewhere, open. False: there is no place for it.
  bool arrived(const std::string& host);
  void handshakeEnded(const std::string& host);
  // An open session's peer has proved to have another address: it counts there, even beyond the
  // limit.
  void moved(const std::string& from, const std::string& to);
  // `displaced`: its place has been given away already.
  void sessionEnded(const std::string& host, bool displaced);

  // How many sessions of this member have to go; the caller ends the most silent ones.
  size_t takeEvictions(Member& member);
  // One of them was not silent any more and stays. There is one too many, and no place for anybody
  // until one goes.
  void spared();

  bool evicts() const { return limits_.evict_after > 0; }
  // Whether a session last heard at `since` may be displaced.
  bool stale(Milliseconds since, Milliseconds now) const {
    return evicts() && since <= now && now - since >= limits_.evict_after;
  }
  const AdmissionLimits& limits() const { return limits_; }

 private:
  // Sessions that one thread may have to end still. While it has, there are as many too many.
  static constexpr size_t kMostOwed = 16;

  using Counts = std::unordered_map<std::string, size_t>;

  Member* mostSilent(Milliseconds now) const;

  const AdmissionLimits limits_;
  std::mutex mutex_;  // guards all below
  std::vector<Member*> members_;
  size_t handshakes_ = 0;
  size_t sessions_ = 0;  // open
  Counts handshakes_by_host_;
  Counts sessions_by_host_;  // handshakes included; only while they are limited
};

}  // namespace mcbn
