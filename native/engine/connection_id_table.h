// connection_id_table.h: which session a connection ID of ours belongs to.
//
// IDs are random and of one length: nobody can guess one, or choose two that collide. With several
// I/O threads for one server the first byte is the thread's index, by which the system can find the
// thread's socket before anybody has looked at the rest. In a fleet IDs name the node as well
// (record/node_id.h); then five bits of the first byte are the thread's index.
//
// Ownership   a ServerEndpoint's; borrows its associations.
// Thread      the I/O thread.
#pragma once

#include <optional>
#include <unordered_set>

#include "engine/endpoint.h"
#include "record/node_id.h"

namespace mcbn {

class ConnectionIdTable {
 public:
  // Of `length` bytes, at most kMaxOwnConnectionIdBytes; 0: there are none.
  // `thread`: where there are several. `nodes`, borrowed: null: IDs name no node.
  ConnectionIdTable(size_t length, std::optional<uint8_t> thread, NodeIds* nodes = nullptr,
                    uint32_t node = 0)
      : length_(length), thread_(thread), nodes_(nodes), node_(node) {
    MCBN_ASSERT(length <= kMaxOwnConnectionIdBytes);
    MCBN_ASSERT(!nodes || nodes->form().length == length);
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
  const std::optional<uint8_t> thread_;
  NodeIds* const nodes_;
  const uint32_t node_;
  std::unordered_set<Association*, Hash, Equal> associations_;
};

}  // namespace mcbn
