// connection_id_table.h: which session a connection ID of ours belongs to.
//
// IDs are random and of one length: nobody can guess one, or choose two that collide. With several
// I/O threads for one server the first byte is the thread's index, by which the system can find the
// thread's socket before anybody has looked at the rest.
//
// Ownership   a ServerEndpoint's; borrows its associations.
// Thread      the I/O thread.
#pragma once

#include <optional>
#include <unordered_set>

#include "engine/endpoint.h"

namespace mcbn {

class ConnectionIdTable {
 public:
  // Of `length` bytes, at most kMaxOwnConnectionIdBytes; 0: there are none.
  ConnectionIdTable(size_t length, std::optional<uint8_t> first_byte)
      : length_(length), first_byte_(first_byte) {
    MCBN_ASSERT(length <= kMaxOwnConnectionIdBytes);
  }

  size_t length() const { return length_; }
  // Gives the association an ID that no other has. False when none was found: short ones run out.
  bool assign(Association& association);
  // The ID that a session had before it came here. False when it cannot be found by it: of another
  // length, another thread's, or another session's.
  bool adopt(Association& association, ByteView id);
  // Forgets it again.
  void release(Association& association);
  Association* find(ByteView id) const;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(ByteView id) const;
    size_t operator()(const Association* association) const;
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const Association* a, const Association* b) const { return a == b; }
    bool operator()(ByteView id, const Association* association) const;
    bool operator()(const Association* association, ByteView id) const {
      return (*this)(id, association);
    }
  };

  const size_t length_;
  const std::optional<uint8_t> first_byte_;
  std::unordered_set<Association*, Hash, Equal> associations_;
};

}  // namespace mcbn
