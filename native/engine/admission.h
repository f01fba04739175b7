// admission.h: which peer may begin a handshake with a server, and which session goes for it.
//
//   cookie echoed --begin()--> handshake --opened()--> session --ended()--> gone
//                  no: not answered      |
//                                        full: the session that was silent longest, on whichever
//                                        thread, gives its place; none: the newcomer goes
//
// The limits hold for a server as a whole, so all its endpoints share one. Only a peer that has
// proved its key displaces a session: until then a newcomer is one of maxHandshakes, whatever it
// sends. And only a session that was silent for evictAfter is displaced: the holder of one key can
// open any number of sessions, and must not empty the server of others that are in use.
//
// Handshakes that wait for their client make room: when a newcomer finds no place, one that has waited
// for half a second gives its own, of a host that has more. No host has more handshakes, or key
// lookups, than are left for others: one alone gets half of them, two a third each, and there is
// always room for a host that has none. A site with an IPv6 network of 48 bits has 65,536 hosts, with one
// handshake each if it likes: no such network has more than four times what is left.
//
// A lookup counts until the application's promise settles, whether or not its handshake is there
// still: what is abandoned costs memory and a place at the database all the same.
//
// Ownership   shared by the endpoints of a server; each joins with its own member.
// Thread      any, behind a mutex: asked once or twice a handshake, never for a datagram. A
//             member's silence is written by its endpoint's thread and read by all.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "datagram/address.h"

namespace mcbn {

// What a limit per host counts by.
std::string hostKey(const Address& address);
// Of such a key what all hosts of an IPv6 network of 48 bits have in common (RFC 6177 section 3); empty: it is of
// another kind.
std::string networkKey(const std::string& host);

struct AdmissionLimits {
  size_t max_sessions = 100'000;  // handshakes included
  // Unfinished at a time, and key lookups. Each costs OpenSSL's 70 to 120 KB until it is done or
  // given up.
  size_t max_handshakes = 4'096;
  size_t max_sessions_per_host = 0;  // 0: no limit
  Milliseconds evict_after = 0;      // 0: never
};

class Admission {
 public:
  enum class Entry : uint8_t {
    Refused,      // not counted
    Free,         // counted
    HostFull,     // counted, but one of the host's own handshakes has to go for it
    NetworkFull,  // counted, but one of its network's has to
    Full,         // counted, but somebody's handshake has to go for it
  };
  // What waited less may be about to go on: half a second is a round trip around the earth, and a
  // slow device's arithmetic.
  static constexpr Milliseconds kShortestWait = 500;
  // While the server is crowded a client has so long to go on.
  static constexpr Milliseconds kPatience = 3'000;

  // What one endpoint has to do with it.
  class Member {
   public:
    // `evict`: has the endpoint's thread call takeEvictions() and takeDisplaced() soon. Called under the mutex, by the
    // thread of another member.
    explicit Member(std::function<void()> evict) : evict_(std::move(evict)) {}

    // When the endpoint's most silent session was last heard; kNever when it has none.
    void silentSince(Milliseconds time) { silent_since_.store(time, std::memory_order_relaxed); }
    // The same for the handshake that has waited for its client longest.
    void waitsSince(Milliseconds time) { waits_since_.store(time, std::memory_order_relaxed); }

   private:
    friend class Admission;
    std::function<void()> evict_;
    std::atomic<Milliseconds> silent_since_ = kNever;
    std::atomic<Milliseconds> waits_since_ = kNever;
    size_t evictions_ = 0;  // sessions that have lost their place and are still open
    size_t displaced_ = 0;  // the same of handshakes
  };

  explicit Admission(const AdmissionLimits& limits) : limits_(limits) {}

  void join(Member& member);
  void leave(Member& member);

  // Counts a handshake. `replaces`: another of its handshakes, which ends with it, so there is room.
  Entry begin(const std::string& host, bool replaces, Milliseconds now);
  // Nobody on the newcomer's own thread has waited long enough: has another thread end one. False:
  // there is none.
  bool displaceElsewhere(const Member& own, Milliseconds now);
  // How many handshakes of this member have to go.
  size_t takeDisplaced(Member& member);
  // A quarter of all places are taken.
  bool crowded();
  // Unfinished ones of a host.
  size_t handshakesOf(const std::string& host);
  // A number for a lookup that the application is to be asked for; nullopt: not now.
  std::optional<uint32_t> beginLookup(const std::string& host);
  // Its promise has settled. False: there was none of that number.
  bool lookupSettled(uint32_t number);
  // The handshake is done and the peer has proved its key. False when there is no place for another
  // session: it is to end as a handshake that came to nothing. True may have cost `member` some
  // of its sessions: takeEvictions().
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

  static constexpr size_t kHostsOfNetwork = 4;

  using Counts = std::unordered_map<std::string, size_t>;
  // Handshakes, or lookups.
  struct Shares {
    size_t all = 0;
    Counts by_host, by_network;

    void add(const std::string& host);
    void remove(const std::string& host);
  };

  Member* mostSilent(Milliseconds now) const;
  // Whether a host that has `its` of `all` may have one more (Choudhury and Hahne's dynamic
  // threshold).
  bool fair(size_t its, size_t all) const { return all + its < limits_.max_handshakes; }
  // What it costs that the host has one more.
  Entry entryOf(const Shares& shares, const std::string& host) const;

  const AdmissionLimits limits_;
  std::mutex mutex_;  // guards all below
  std::vector<Member*> members_;
  size_t sessions_ = 0;  // open
  Shares handshakes_, lookups_;
  std::unordered_map<uint32_t, std::string> lookup_hosts_;  // by number
  uint32_t last_lookup_ = 0;
  Counts sessions_by_host_;  // handshakes included; only while they are limited
};

}  // namespace mcbn
