// server_endpoint.h: one UDP socket, many peers.
//
//   datagram --address known?--> its session
//            --ClientHello?--> cookie verified? --no--> HelloVerifyRequest, nothing stored
//                                               --yes-> a new session
//            --else--> dropped and counted
//
// A peer that starts anew from the same address and port keeps its old session until the new
// handshake is finished (RFC 6347 section 4.2.8): an address can have two associations for that
// while.
//
// Spec        RFC 6347 sections 4.2.1 (cookies) and 4.2.8
#pragma once

#include <unordered_map>

#include "engine/deadlines.h"
#include "engine/endpoint.h"
#include "record/cookie.h"

namespace mcbn {

struct ServerOptions {
  Address local;
  UdpOptions udp;
  DtlsOptions dtls;
  Milliseconds idle_timeout = 0;  // 0: never
  size_t max_sessions = 100'000;
  // Unfinished at a time. Each costs OpenSSL's 70 to 120 KB until it is done or given up.
  // One host may hold half of them, so that it cannot shut everybody else out.
  size_t max_handshakes = 4'096;
  size_t max_sessions_per_host = 0;  // 0: no limit
  Bytes cookie_secret;               // empty: a random one
};

class ServerEndpoint final : public Endpoint {
 public:
  ServerEndpoint(uint32_t id, IoServices& services, std::shared_ptr<const Context> context,
                 ServerOptions options);
  ~ServerEndpoint() override;

  SystemError open();
  void start();

  void receive(Milliseconds now) override;
  void expire(Milliseconds now) override;
  Milliseconds deadline() const override { return deadlines_.next(); }
  Association* find(uint32_t session) override;
  void closeAll() override;
  // Ends the sessions of an identity with `failure`; how many there were.
  size_t endSessionsOf(const Identity& identity, const Failure& failure);
  void setKeylog(bool on);

 private:
  // At most one that is open, or on its way to be; and one that may replace it.
  struct Slot {
    Association* current = nullptr;
    Association* candidate = nullptr;
  };
  struct SeededHash {
    size_t operator()(const Address& address) const;
    size_t seed;
  };

  void route(const Address& from, MutableBytes datagram, Milliseconds now);
  void hello(const Address& from, MutableBytes datagram, const DtlsClientHello& hello,
             Milliseconds now);
  bool admits(const Address& from) const;
  void handshakeOver(const Address& peer);
  uint32_t nextSession();
  void create(const Address& from, ByteView datagram, const DtlsClientHello& hello,
              Milliseconds now);
  void deliver(Association& association, MutableBytes datagram, Milliseconds now);
  Association* chooseFor(const Slot& slot, ByteView datagram) const;
  void endWith(Association& association, const Failure& failure);
  void leave() override;
  void onOpened(Association& association) override;
  void drop(Association& association);
  Milliseconds idleDeadline(const Association& association) const;

  std::shared_ptr<const Context> context_;
  ServerOptions options_;
  Cookies cookies_;
  uint32_t last_session_ = 0;
  size_t handshakes_ = 0;  // unfinished
  std::unordered_map<uint32_t, std::unique_ptr<Association>> associations_;
  std::unordered_map<Address, Slot, SeededHash> slots_;
  Address recent_;               // of the last datagram that has a session
  Slot* recent_slot_ = nullptr;  // its slot; none when that may be gone
  std::unordered_map<std::string, uint32_t> handshakes_by_host_;
  std::unordered_map<std::string, uint32_t> hosts_;  // sessions by host, when they are limited
  Deadlines deadlines_;
};

}  // namespace mcbn
