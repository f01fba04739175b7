// event.h: what an I/O thread tells JavaScript, in batches.
//
// A batch keeps the order in which things happened: a row for each, messages as bytes in one slab,
// the rest as details. One crossing into JavaScript delivers a batch.
//
// Ownership   the I/O thread fills a batch and hands it over whole; JavaScript's thread empties it.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <unordered_set>
#include <variant>
#include <vector>

#include "datagram/system_error.h"
#include "engine/slab_pool.h"
#include "psk/psk.h"
#include "session/failure.h"
#include "session/opened.h"

namespace mcbn {

// The kinds of src/native/contract.ts, row by row the same numbers.
enum class EventKind : uint32_t {
  Message = 1,
  Opened = 2,
  Question = 3,
  Ended = 4,    // of a session that was opened, or of a client's
  Refused = 5,  // a server's handshake came to nothing
  Keylog = 6,
  Progress = 7,  // the I/O thread has sent everything up to a submission
  SocketError = 8,
  AddressChanged = 9,  // a server's peer with a connection ID has moved
  Row = 10,            // for the session store
};

// By which a session store knows a session: random.
using RowName = std::array<uint8_t, 16>;

struct OpenedEvent {
  Opened opened;
  std::string remote_host;
  uint16_t remote_port = 0;
  size_t max_message = 0;
  std::string own_connection_id, peer_connection_id;  // empty where none is used
  bool return_routability = false;
};

struct QuestionEvent {
  PskQuestion question;
  std::string remote_host;
  uint16_t remote_port = 0;
  uint32_t lookup = 0;  // a server's, for Admission::lookupSettled()
};

struct EndedEvent {
  std::optional<Failure> failure = std::nullopt;
  std::string remote_host;
  uint16_t remote_port = 0;
};

struct AddressEvent {
  std::string remote_host;
  uint16_t remote_port = 0;
};

// What a session store shall have under `name` from now on.
struct RowEvent {
  RowName name;
  Bytes sealed;  // empty: nothing
};

using EventDetail = std::variant<std::monostate, OpenedEvent, QuestionEvent, EndedEvent,
                                 AddressEvent, std::string, SystemError, RowEvent>;

// A message's a and b are offset and length in the slab; Progress has a submission number in a;
// every other row has the index of its detail in a, or kNoDetail. Row has 1 in b where somebody waits
// for it.
struct EventRow {
  EventKind kind;
  uint32_t endpoint;
  uint32_t session;
  uint32_t a;
  uint32_t b;
};
constexpr uint32_t kNoDetail = UINT32_MAX;
static_assert(sizeof(EventRow) == 20, "read by JavaScript as five uint32");

// The bytes of a batch's messages: at most a slab full.
class MessageBytes {
 public:
  // Room for `count` bytes behind the end; valid until the next call. The caller knows that they
  // fit.
  uint8_t* reserve(SlabPool& pool) {
    if (!slab_) slab_ = pool.take();
    return slab_.get() + size_;
  }
  void commit(size_t count) {
    MCBN_ASSERT(slab_ && fits(count));
    size_ += count;
  }
  bool fits(size_t count) const { return size_ + count <= kSlabBytes; }

  size_t size() const { return size_; }
  ByteView view(size_t offset, size_t length) const {
    MCBN_ASSERT(offset + length <= size_);
    return {slab_.get() + offset, length};
  }
  // Empty then, but keeps its slab.
  void clear() { size_ = 0; }
  // Gives the slab away.
  Slab release() {
    size_ = 0;
    return std::move(slab_);
  }

 private:
  Slab slab_;
  size_t size_ = 0;
};

struct EventBatch {
  std::vector<EventRow> rows;
  MessageBytes messages;
  std::vector<EventDetail> details;

  bool empty() const { return rows.empty(); }
  void add(EventKind kind, uint32_t endpoint, uint32_t session, EventDetail detail);
  // Of an event that says all by its kind.
  void addPlain(EventKind kind, uint32_t endpoint, uint32_t session) {
    rows.push_back({kind, endpoint, session, kNoDetail, 0});
  }
  // Puts what `later` holds behind what is here; the caller knows that it fits.
  void append(EventBatch& later, SlabPool& pool);
  void clear();
  // Bytes of memory, about: a message of one byte has a row of twenty.
  size_t weight() const {
    return messages.size() + rows.size() * sizeof(EventRow) + details.size() * kDetailWeight;
  }

  static constexpr size_t kDetailWeight = 512;
};

// Between one I/O thread and one JavaScript environment.
class EventQueue {
 public:
  // `wake` makes JavaScript's thread call takeAll() soon; called from the I/O thread, once until
  // taken.
  explicit EventQueue(std::function<void()> wake) : wake_(std::move(wake)) {}

  // The batch being filled; I/O thread only.
  EventBatch& filling() { return filling_; }
  // Room for a message of at most `capacity` bytes, in the batch being filled; hands over what was
  // filled first, if there is none. I/O thread only.
  uint8_t* reserveMessage(size_t capacity);
  // Hands over what was filled, if anything; I/O thread only. `wake`: unless the caller takes it
  // himself.
  void publish(bool wake = true);
  // No room for messages: a blocked event loop must not make the process grow without limit.
  // I/O thread only.
  bool full() const { return waitingBytes() >= kMaxWaitingBytes; }
  // The same for what strangers can cause, a small part of it.
  bool refusalsFull() const { return waitingBytes() >= kMaxRefusalBytes; }

  // The sessions of an endpoint with messages that JavaScript has not taken yet; I/O thread only.
  std::unordered_set<uint32_t> unheard(uint32_t endpoint);

  std::deque<EventBatch> takeAll();
  // Bytes, about, that JavaScript has not taken yet; I/O thread only.
  size_t waitingBytes() const { return waiting_bytes_ + filling_.weight(); }
  // Takes a batch back that was read: its memory is used again.
  void recycle(EventBatch batch);
  const std::shared_ptr<SlabPool>& pool() const { return pool_; }

  static constexpr size_t kMaxWaitingBytes = 64 * 1024 * 1024;
  static constexpr size_t kMaxRefusalBytes = 4 * 1024 * 1024;

 private:
  static constexpr size_t kSpare = 4;

  std::function<void()> wake_;
  std::shared_ptr<SlabPool> pool_ = std::make_shared<SlabPool>();
  EventBatch filling_;
  std::mutex mutex_;
  std::deque<EventBatch> waiting_;
  std::vector<EventBatch> spare_;
  std::atomic<size_t> waiting_bytes_ = 0;
  bool woken_ = false;
};

}  // namespace mcbn
