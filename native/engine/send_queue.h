// send_queue.h: messages that JavaScript has submitted and the system has not taken yet.
//
//   submit() --> take() --> to their endpoints --> sent()
//                                   `-> hold(): while an endpoint's socket is full
//
// A full socket keeps nobody else waiting: rows for it wait here as small as they came, and its
// progress stands still while that of all others goes on. Submissions are numbered from 1 on; 0
// means "none", and numbers wrap.
//
// Thread      add(), progress() and notifyAt() are for JavaScript's thread, the rest for the
//             thread that has the engine (io_thread.h).
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/one_thread.h"

namespace mcbn {

// Rows as frame.h has them.
struct Submission {
  uint32_t number;
  MutableBytes lent;  // JavaScript's, until the submission is released
  Bytes copy;         // instead

  MutableBytes bytes() { return copy.empty() ? lent : MutableBytes(copy); }
};

class SendQueue {
 public:
  // Queues rows; returns the number of the submission.
  uint32_t add(MutableBytes rows);
  uint32_t add(Bytes copy);
  // A number for rows that are not queued but sent at once.
  uint32_t number();
  bool empty() const;
  // The newest submission of which the system has taken all that was for `endpoint`.
  uint32_t progress(uint32_t endpoint) const;
  // Has sent() tell when `endpoint` has got as far as `submission`.
  void notifyAt(uint32_t endpoint, uint32_t submission);

  std::vector<Submission> take();
  // Whether rows for the endpoint wait for its socket: later ones must not overtake them.
  bool holds(uint32_t endpoint) const;
  void hold(uint32_t endpoint, uint32_t number, ByteView row);
  // The oldest submission that waits for the endpoint.
  std::optional<Submission> takeHeld(uint32_t endpoint);
  // The endpoint's socket has not taken everything; only what was submitted up to `complete`, or no
  // more than before.
  void behind(uint32_t endpoint, std::optional<uint32_t> complete);
  // Its socket has taken everything, or is gone.
  void forget(uint32_t endpoint);
  // Everything up to `number` has gone where it could; `tell` is called for what notifyAt() asked.
  void sent(uint32_t number, const std::function<void(uint32_t endpoint)>& tell);

 private:
  struct Behind {
    uint32_t complete = 0;
    std::deque<Submission> held;
  };
  struct Notification {
    uint32_t endpoint, submission;
  };

  uint32_t progressOf(uint32_t endpoint) const;
  Behind& fallBehind(uint32_t endpoint);
  uint32_t nextNumber();

  [[no_unique_address]] OneThread javascript_;  // add(), progress(), notifyAt()
  mutable std::mutex mutex_;
  std::vector<Submission> queued_;
  uint32_t last_number_ = 0;
  std::vector<Notification> notifications_;
  std::unordered_map<uint32_t, Behind> behind_;  // endpoints whose socket is full
  std::atomic<size_t> behind_count_ = 0;         // of behind_, to look at without the mutex
  std::atomic<bool> waiting_ = false;            // notifications_ is not empty
  std::atomic<uint32_t> sent_ = 0;
};

}  // namespace mcbn
