// world.h: a server's and some clients' endpoints, whole, in a hostile world that the fuzzer's input
// describes: what the network does with each datagram, what strangers send, what time it is, what the
// application answers and does.
//
// Invariants, at every step: only who has the key opens a session; every message that arrives was
// sent by the other side of that session; counts are those of what is there; no deadline lies in the
// past. At the end, with an honest network again: a newcomer with the key connects and is answered.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "engine/client_endpoint.h"
#include "engine/server_endpoint.h"
#include "memory_net.h"
#include "still_clock.h"

namespace mcbn {

class Input {
 public:
  explicit Input(ByteView bytes) : rest_(bytes) {}
  bool empty() const { return rest_.empty(); }
  uint8_t byte() {
    if (rest_.empty()) return 0;
    const uint8_t value = rest_[0];
    rest_ = rest_.subspan(1);
    return value;
  }
  Bytes bytes(size_t count) {
    const ByteView taken = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return {taken.begin(), taken.end()};
  }

 private:
  ByteView rest_;
};

class World {
 public:
  // What the input may do besides; a world in which it may do all is searched too thinly.
  struct Powers {
    bool strangers = true;  // raw datagrams of the input's
    bool server = true;     // there is one of ours; else the input alone answers
    size_t clients = 3;
  };

  World(Powers powers, ByteView input);
  ~World();
  void run();

 private:
  struct Client {
    std::unique_ptr<ClientEndpoint> endpoint;
    Address address;
    bool has_key = false;
    bool opened = false, ended = false;
    std::optional<PskQuestion> question;
  };
  struct Asked {
    uint32_t session;
    PskQuestion question;
    uint32_t lookup;
  };

  void step();
  void carry(size_t index, bool again);
  void alter(Bytes& bytes);
  void pass(uint64_t milliseconds);
  void addClient(bool has_key);
  void answer(uint8_t how);
  void takeEvents();
  void takeRow(const EventBatch& batch, const EventRow& row);
  void settle();
  void carryAll();
  void check() const;
  Bytes message(const char* from);
  const Address& stranger(uint8_t choice);

  const Powers powers_;
  Input input_;
  Milliseconds now_ = 1'000'000;
  Poller poller_;
  EventQueue events_{[] {}};
  CipherContexts ciphers_{4};
  IoServices services_{poller_, events_, ciphers_};
  std::shared_ptr<Admission> admission_;
  Address server_address_;
  std::unique_ptr<ServerEndpoint> server_;
  DtlsOptions dtls_;
  bool asks_ = false;
  bool newer_ = false;       // the server speaks DTLS 1.3 too, and every other client that alone
  bool falls_back_ = false;  // clients of DTLS 1.3, to 1.2
  std::vector<Client> clients_;
  std::vector<Asked> asked_;
  std::vector<memory::Packet> history_;
  std::set<uint32_t> sessions_;  // open, as JavaScript knows them
  std::set<Bytes> sent_;
  unsigned messages_ = 0;
  size_t opened_by_server_ = 0;
};

}  // namespace mcbn
