// io_thread.h: the thread that owns DTLS sockets, sessions and deadlines.
//
//   JavaScript --post(), submit()--> IoThread --poll--> Endpoint --> sessions
//   JavaScript <--EventQueue-------- IoThread
//
// A blocked event loop delays messages, but no handshake, cookie, retransmission or deadline.
//
// The thread that has the *engine*, a mutex, may use endpoints and sessions. The I/O thread has it
// except while it sleeps; then JavaScript's thread may take it, to send a little at once: that
// spares the message two changes of threads. It never waits for the engine, and runs no JavaScript
// while it has it. When little is on its way it may watch the poller as well: see attendance.h.
//
// Ownership   binding/ owns the IoThread; the IoThread owns its endpoints.
// Thread      post() is for any thread: of a server's several, one has another evict a session. What
//             is marked as JavaScript's is for its thread, everything else for the thread that has the
//             engine. Builds with asserts check both (base/one_thread.h).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/deadlines.h"
#include "base/one_thread.h"
#include "datagram/poller.h"
#include "engine/attendance.h"
#include "engine/busy_poll.h"
#include "engine/endpoint.h"
#include "engine/event.h"
#include "engine/frame.h"
#include "engine/read_on.h"
#include "engine/send_queue.h"
#include "engine/wake_pace.h"

namespace mcbn {

class IoThread {
 public:
  using Task = std::function<void(IoThread&)>;

  explicit IoThread(std::function<void()> wake);
  ~IoThread();  // stops and joins
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  // Whether poller, wake-up and thread came into being.
  SystemError start();
  void stop();

  // Runs `task` on the I/O thread, in order with other tasks. From any thread.
  void post(Task task);

  // From here to lookAgain() JavaScript's.

  // As post(), and waits until it has run, here or there. The I/O thread never waits for JavaScript,
  // so this is short.
  void call(const Task& task);
  // Messages to send, as frame.h has them, until released() is the number returned.
  uint32_t submit(MutableBytes rows);
  // The same, but keeps a copy.
  uint32_t submitCopy(ByteView rows);
  // The newest submission whose bytes are not needed any more.
  uint32_t released() const { return released_.load(std::memory_order_acquire); }
  // The newest submission of which the system has taken all datagrams of `endpoint`.
  uint32_t progress(uint32_t endpoint) const { return send_queue_.progress(endpoint); }
  // Asks for a Progress event once progress() has reached `submission`.
  void notifyAt(uint32_t endpoint, uint32_t submission);

  // What JavaScript's thread watches while it attends; -1: it cannot.
  int attendableFd() const { return poller_.fd(); }
  // To be asked when events were taken: whether to watch from now on, and visit() when something
  // is there.
  bool attend();
  // Takes a turn; events may follow, without a wake-up. False: watch no longer.
  bool visit();
  // After what a visit brought was told: looks for what comes next, as long as busyPoll allows
  // (busy_poll.h). True: there is more to tell. A visit and all that follow it wait no longer than
  // that in all.
  bool lookAgain();

  EventQueue& events() { return events_; }
  Milliseconds now() const;
  IoServices& services() { return services_; }

  // For the thread that has the engine, as in tasks.
  void add(std::unique_ptr<Endpoint> endpoint);
  void remove(uint32_t id);
  Endpoint* endpoint(uint32_t id);
  // Null: there is none, or it is a client's.
  ServerEndpoint* server(uint32_t id);
  // After whatever a task did to an endpoint: sends what it wrote, minds its deadline.
  void touched(Endpoint& endpoint);
  // Encrypts everything submitted so far, also what waits for the endpoint's socket: what follows,
  // such as a close_notify, must not overtake it.
  void sendEverything(Endpoint& endpoint);

 private:
  void run();
  bool runHere(const Task& task);
  void rest(std::unique_lock<std::mutex>& engine);
  void takeTurn(std::span<const PollEvent> events);
  bool takeOnly();
  bool look();
  void findBusyPoll();
  enum class Telling : uint8_t {
    Paced,   // wakes JavaScript's thread, now or soon (wake_pace.h)
    AtOnce,  // wakes it
    Here,    // the caller takes what there is
  };
  void finishTurn(Telling telling = Telling::Paced);
  bool mayWait(std::span<const EventRow> rows);
  bool nothingWaits();
  void runTasks();
  void expire();
  void sendSubmissions();
  void sendRows(uint32_t number, MutableBytes rows);
  void send(Endpoint& endpoint, std::span<const SubmittedRow> rows, uint32_t number,
            Milliseconds time);
  void sendHeld(Endpoint& endpoint, bool regardless);
  void flush(Endpoint& endpoint);
  Milliseconds nextDeadline();
  int waitTime();

  std::mutex engine_;
  [[no_unique_address]] HoldingThread engine_holder_;
  [[no_unique_address]] OneThread javascript_;
  bool running_ = false;                // guarded by engine_
  Milliseconds asleep_until_ = kNever;  // the same
  Attendance attendance_;
  WakePace wake_pace_;
  BusyPoll busy_poll_;
  ReadOn read_on_;
  std::optional<Microseconds> look_until_;  // of this visit, once it has nothing left to do
  EventQueue events_;
  Poller poller_;
  // Sessions that are silent give their contexts back: 4,096 directions need 2 to 5 MB.
  CipherContexts ciphers_{4'096};
  IoServices services_{poller_, events_, ciphers_};
  WakeUp wake_up_;
  std::thread thread_;
  std::atomic<bool> stopping_ = false;

  std::mutex mutex_;  // guards tasks_
  std::vector<Task> tasks_;

  SendQueue send_queue_;
  uint32_t sent_ = 0;                // the last submission that was passed on to endpoints
  std::vector<Submission> sending_;  // of this turn: outboxes point into them
  std::atomic<uint32_t> released_ = 0;
  std::unordered_map<uint32_t, std::unique_ptr<Endpoint>> endpoints_;
  Deadlines deadlines_;          // by endpoint
  std::vector<uint32_t> dirty_;  // endpoints with something to send
};

}  // namespace mcbn
