// session_sink.h: where a DTLS session puts what it makes, and what it has counted.
//
// Ownership   the endpoint is the sink of its sessions; they borrow it for one call at a time.
// Thread      the session's.
// Reentrancy  a sink may be called while OpenSSL is on the stack: it stores, nothing else.
#pragma once

#include <cstring>
#include <optional>
#include <string>

#include "base/assert.h"
#include "base/time.h"
#include "record/drop_reason.h"
#include "record/path_message.h"
#include "session/datagram_bio.h"
#include "session/failure.h"
#include "session/opened.h"

namespace mcbn {

struct SessionStats {
  uint64_t datagrams_received = 0;
  uint64_t datagrams_sent = 0;
  uint64_t bytes_received = 0;  // UDP payload
  uint64_t bytes_sent = 0;
  uint64_t messages_received = 0;
  uint64_t messages_sent = 0;
  uint64_t retransmits = 0;
  uint64_t key_updates_sent = 0;  // of DTLS 1.3: new keys of ours, or the peer's, are in use
  uint64_t key_updates_received = 0;
  DropCounts dropped;  // records, by the screen or a record layer
};

// What a session tells, in the order in which it happened.
class SessionSink : public DatagramSink {
 public:
  // Room for at least `capacity` bytes of one message; committed with its true length, or not at
  // all.
  virtual uint8_t* reserveMessage(size_t capacity) = 0;
  virtual void commitMessage(size_t length) = 0;
  // Room for a datagram to send; committed, or not at all.
  virtual uint8_t* reserveDatagram(size_t capacity) = 0;
  virtual void commitDatagram(size_t length) = 0;
  // A datagram in memory that the caller of sendInPlace() knows to last.
  virtual void lendDatagram(ByteView bytes) = 0;
  // The same, but to where the datagram being received came from (RFC 9853 section 5.5).
  virtual void commitReply(size_t length) { commitDatagram(length); }
  // The peer has echoed the cookie of a path_challenge.
  virtual void pathResponse(const PathCookie&) {}
  virtual void opened(const Opened& opened, size_t max_message) = 0;
  // Before question() of a server: false, and the ClientKeyExchange is as good as lost; it comes
  // again.
  virtual bool mayAsk() { return true; }
  virtual void question(const PskQuestion& question) = 0;
  // Nothing follows. No failure: the peer said close_notify.
  virtual void ended(const std::optional<Failure>& failure) = 0;
  virtual void keylog(const std::string& line) = 0;
  virtual void dropped(DropReason reason) = 0;
  // A flight of the handshake was sent again.
  virtual void retransmitted() = 0;

 protected:
  ~SessionSink() = default;
};

// What one call into a session has with it. Around it OpenSSL's queue of errors is empty.
struct SessionStep {
  SessionStep(SessionSink& to, SessionStats& counts, Milliseconds time = 0)
      : sink(to), stats(counts), now(time) {
    clearOpensslErrors();
  }
  ~SessionStep() { clearOpensslErrors(); }
  SessionStep(const SessionStep&) = delete;
  SessionStep& operator=(const SessionStep&) = delete;

  void drop(DropReason reason) {
    stats.dropped.add(reason);
    sink.dropped(reason);
  }
  void end(const std::optional<Failure>& failure) {
    MCBN_ASSERT(!ended);
    ended = true;
    sink.ended(failure);
  }
  // A message of the peer's. JavaScript keeps messages for a while, so the memory for new ones is in no
  // cache. That of the next one is fetched while this one is copied: a tenth of what a large message
  // costs.
  void message(ByteView content) {
    constexpr size_t kCacheLine = 64;
    stats.messages_received += 1;
    uint8_t* const place = sink.reserveMessage(content.size());
    for (size_t at = content.size(); at < 2 * content.size(); at += kCacheLine) {
      __builtin_prefetch(place + at, 1);
    }
    if (!content.empty()) std::memcpy(place, content.data(), content.size());
    sink.commitMessage(content.size());
  }
  void countDatagram(size_t bytes) {
    stats.datagrams_sent += 1;
    stats.bytes_sent += bytes;
  }
  void countRepeatedFlight() {
    stats.retransmits += 1;
    sink.retransmitted();
  }

  SessionSink& sink;
  SessionStats& stats;
  const Milliseconds now;
  bool ended = false;  // the session is over: nothing follows
};

// Bytes of a message at most: a record's plaintext (RFC 6347 section 4.1).
constexpr size_t kMaxMessage = 16'384;

}  // namespace mcbn
