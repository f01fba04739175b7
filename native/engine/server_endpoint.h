// server_endpoint.h: one UDP socket, many peers.
//
//   datagram --connection ID?--> its session, from wherever it comes
//            --address known?--> its session
//            --ClientHello?--> cookie verified? --no--> HelloVerifyRequest, nothing stored
//                                               --yes-> a new session
//            --else--> dropped and counted
//
// A peer that starts anew from the same address and port keeps its old session until the new
// handshake is finished (RFC 6347 section 4.2.8): an address can have two associations for that
// while.
//
// Files       server_paths.cc: sessions with connection IDs
// Spec        RFC 6347 sections 4.2.1 (cookies) and 4.2.8, RFC 9146, RFC 9853
#pragma once

#include <memory>
#include <unordered_map>

#include "engine/admission.h"
#include "engine/connection_id_table.h"
#include "engine/deadlines.h"
#include "engine/endpoint.h"
#include "engine/recency.h"
#include "record/cookie.h"

namespace mcbn {

struct ServerOptions {
  Address local;
  UdpOptions udp;
  DtlsOptions dtls;
  Milliseconds idle_timeout = 0;  // 0: never
  Bytes cookie_secret;            // empty: a random one
  // Of several endpoints on one address, each with a thread of its own: how many there are, and
  // which one this is, in the order in which they are opened.
  size_t threads = 1;
  size_t thread_index = 0;
  std::shared_ptr<Admission> admission;  // null: one of its own, with the default limits
  // Has this endpoint's thread call evict() soon; from any thread.
  std::function<void()> evict_soon = [] {};
};

// What a limit per host counts by.
std::string hostKey(const Address& address);

class ServerEndpoint final : public Endpoint {
 public:
  ServerEndpoint(uint32_t id, IoServices& services, std::shared_ptr<const Context> context,
                 ServerOptions options);
  ~ServerEndpoint() override;

  SystemError open();
  // Takes part in what comes to the address. Endpoints of one address are all opened first: a peer
  // that was answered by one must not be given to another that joined later.
  void start();
  // Whether other endpoints can share the address; known once the first one is open.
  bool balanced() const { return balanced_; }

  void receive(Milliseconds now) override;
  void expire(Milliseconds now) override;
  Milliseconds deadline() const override { return deadlines_.next(); }
  Association* find(uint32_t session) override;
  void closeAll() override;
  // Ends the sessions of an identity with `failure`; how many there were.
  size_t endSessionsOf(const Identity& identity, const Failure& failure);
  void setKeylog(bool on);
  // Ends the most silent sessions, as many as Admission has given away.
  void evict(Milliseconds now);
  // The application knows that the peer is there. Without effect if it has moved on since.
  void confirmAddress(uint32_t session, const std::string& host, uint16_t port);

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
  void routeById(const Address& from, ByteView id, MutableBytes datagram, Milliseconds now);
  void follow(Association& association, const Address& from, size_t bytes, Milliseconds now);
  void checkPath(Association& association, Milliseconds now);
  void moveTo(Association& association, const Address& to);
  void vacate(Association& association);
  void hello(const Address& from, MutableBytes datagram, const DtlsClientHello& hello,
             Milliseconds now);
  bool replacesHandshake(const Address& from) const;
  uint32_t nextSession();
  void create(const Address& from, ByteView datagram, const DtlsClientHello& hello,
              Milliseconds now);
  void deliver(Association& association, MutableBytes datagram, Milliseconds now);
  Association* chooseFor(const Slot& slot, ByteView datagram) const;
  void endWith(Association& association, const Failure& failure);
  void leave() override;
  bool onOpened(Association& association) override;
  void commitReply(size_t length) override;
  void pathResponse(const PathCookie& cookie) override;
  void onActive(Association& association) override;
  void tellSilence();
  void drop(Association& association);
  Milliseconds idleDeadline(const Association& association) const;

  std::shared_ptr<const Context> context_;
  ServerOptions options_;
  Cookies cookies_;
  uint32_t last_session_ = 0;
  std::unordered_map<uint32_t, std::unique_ptr<Association>> associations_;
  std::unordered_map<Address, Slot, SeededHash> slots_;
  Address recent_;               // of the last datagram that has a session
  Slot* recent_slot_ = nullptr;  // its slot; none when that may be gone
  Deadlines deadlines_;
  std::shared_ptr<Admission> admission_;
  Admission::Member member_;
  RecencyList<Association> recency_;  // of open sessions, where evictAfter is on
  bool balanced_ = false;
  ConnectionIdTable ids_;
  const Address* origin_ = nullptr;  // of the datagram being received by ID
};

}  // namespace mcbn
