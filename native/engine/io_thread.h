// io_thread.h: the thread that owns DTLS sockets, sessions and deadlines.
//
//   JavaScript --post(), submit()--> IoThread --poll--> Endpoint --> sessions
//   JavaScript <--EventQueue-------- IoThread
//
// A blocked event loop delays messages, but no handshake, cookie, retransmission or deadline.
//
// Ownership   binding/ owns the IoThread; the IoThread owns its endpoints.
// Thread      post(), call(), submit() and stop() are for JavaScript's thread, the rest for the I/O
// thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "datagram/poller.h"
#include "engine/deadlines.h"
#include "engine/endpoint.h"
#include "engine/event.h"

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

  // Runs `task` on the I/O thread, in order with other tasks.
  void post(Task task);
  // The same, and waits until it has run. The I/O thread never waits for JavaScript, so this is
  // short.
  void call(Task task);
  // Messages to send: rows of { endpoint u32, session u32, length u32, bytes }, little-endian.
  // Returns the submission's number; a Progress event answers notifyAt().
  uint32_t submit(ByteView rows);
  // The newest submission whose datagrams the system has taken.
  uint32_t progress() const { return progress_.load(std::memory_order_acquire); }
  // Asks for a Progress event once progress() has reached `submission`.
  void notifyAt(uint32_t submission);

  EventQueue& events() { return events_; }
  Milliseconds now() const;
  IoServices& services() { return services_; }

  // I/O thread only, in tasks.
  void add(std::unique_ptr<Endpoint> endpoint);
  void remove(uint32_t id);
  Endpoint* endpoint(uint32_t id);
  // After whatever a task did to an endpoint: sends what it wrote, minds its deadline.
  void touched(Endpoint& endpoint);
  // Encrypts everything submitted so far, also for a blocked socket: what follows, such as a
  // close_notify, must not overtake it.
  void sendEverything() { sendSubmissions(true); }

 private:
  struct Submission {
    uint32_t number;
    Bytes rows;
  };

  void run();
  void runTasks();
  void expire();
  void sendSubmissions(bool regardless);
  void sendRows(ByteView rows);
  void reportProgress();
  int waitTime() const;
  bool anyBlocked() const { return services_.blocked_sockets > 0; }

  EventQueue events_;
  Poller poller_;
  // Sessions that are silent give their contexts back: 4,096 directions need 2 to 5 MB.
  CipherContexts ciphers_{4'096};
  IoServices services_{poller_, events_, ciphers_};
  WakeUp wake_up_;
  std::thread thread_;
  std::atomic<bool> stopping_ = false;

  std::mutex mutex_;  // guards what JavaScript's thread hands over
  std::vector<Task> tasks_;
  std::vector<Submission> submissions_;
  uint32_t submitted_ = 0;

  std::atomic<uint32_t> progress_ = 0;
  std::atomic<uint32_t> notify_at_ = 0;  // 0: nobody asked
  std::vector<Submission> sending_;      // taken over, waiting for a blocked socket
  uint32_t sent_ = 0;
  std::unordered_map<uint32_t, std::unique_ptr<Endpoint>> endpoints_;
  Deadlines deadlines_;          // by endpoint
  std::vector<uint32_t> dirty_;  // endpoints with something to send
};

}  // namespace mcbn
