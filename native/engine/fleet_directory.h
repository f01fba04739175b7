// fleet_directory.h: which node of a fleet has which node ID, and where it is.
//
//   members: addresses that the application gives --announce--> every node tells what it has
//   node ID -> address, by the newest claim
//
// A node ID is claimed at a time, and the newest claim holds: a process that takes a node's sessions
// over claims its ID, and from its next announcement on everybody sends there. What was not heard of
// for kForgottenAfter is forgotten.
//
// Clocks differ. A process whose clock lags would begin with a claim that is older than one made before
// it, and never have its own ID. So it compares what no clock changes: how long ago each was made.
//
// Ownership   shared by the endpoints of a server, and by JavaScript.
// Thread      any; a mutex guards it. Endpoints ask only for datagrams that are not theirs.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/secret.h"
#include "base/time.h"
#include "datagram/address.h"

namespace mcbn {

// Since when a node has an ID: milliseconds since 1970.
struct NodeClaim {
  uint32_t node;
  uint64_t since;
};

class FleetDirectory {
 public:
  static constexpr size_t kMostClaims = 64;    // of one node
  static constexpr size_t kMostNodes = 4'096;  // known
  static constexpr size_t kMostMembers = 1'024;
  static constexpr Milliseconds kForgottenAfter = 30'000;

  // `since`, `began`: now, in milliseconds since 1970 and by the monotonic clock.
  FleetDirectory(uint32_t node, ByteView key, uint64_t since, Milliseconds began);

  uint32_t node() const { return node_; }
  ByteView key() const { return key_.view(); }

  // Where other nodes are, as far as the application knows; this node's own address may be among them.
  void setMembers(std::vector<Address> members);
  // Claims the ID of another node. False: there are too many.
  bool takeOver(uint32_t node, uint64_t now);
  // Called whenever members or claims have changed; null: nobody wants to know.
  void onChange(std::function<void()> changed);
  // Where the first endpoint listens for others.
  void setBound(const Address& bound);
  Address bound() const;

  bool owns(uint32_t node) const;
  // When the ID of another node was claimed here; nullopt: it was not.
  std::optional<uint64_t> takenOver(uint32_t node) const;
  std::vector<NodeClaim> claims() const;
  // nullopt: nobody has told of it, or not for long.
  std::optional<Address> find(uint32_t node, Milliseconds now) const;
  // Everybody to whom an announcement goes.
  std::vector<Address> audience(Milliseconds now) const;
  // `from` has told what it has, at `told` by its own clock: milliseconds since 1970, rounded to seconds.
  // True: nobody was known there.
  bool heard(const Address& from, std::span<const NodeClaim> claims, uint64_t told,
             Milliseconds now);

  struct Known {
    uint32_t node;
    Address at;  // none: this process
  };
  std::vector<Known> known(Milliseconds now) const;

 private:
  struct Elsewhere {
    Address at;
    uint64_t since = 0;
    Milliseconds heard = 0;
  };

  void changed();
  bool beganAfter(const NodeClaim& claim, uint64_t told, Milliseconds now) const;

  const uint32_t node_;
  const Milliseconds began_;
  const Secret key_;
  mutable std::mutex mutex_;
  std::map<uint32_t, uint64_t> own_;  // since when
  std::map<uint32_t, Elsewhere> elsewhere_;
  std::vector<Address> members_;
  std::function<void()> changed_;
  Address bound_;
};

}  // namespace mcbn
