// server_endpoint.h: one UDP socket, many peers.
//
//   datagram --connection ID?--> its session, from wherever it comes
//            --ClientHello?--> cookie verified? --no--> HelloVerifyRequest or HelloRetryRequest, nothing stored
//                                               --yes-> a new session
//            --address known?--> its session
//            --an ID of another node of the fleet?--> sent on to it (fleet_link.h)
//            --else--> dropped and counted
//
// peer_directory.h finds sessions; peer_mobility.h follows peers that move. What answers hellos, of both
// versions, is in server_hello.cc.
//
// Ownership   the IoThread owns it; it owns its associations.
// Thread      the I/O thread, except for open(), which JavaScript's thread calls before add().
// Spec        RFC 6347 sections 4.2.1 (cookies) and 4.2.8, RFC 9146, RFC 9147 section 5.1
#pragma once

#include <memory>
#include <unordered_map>

#include "base/deadlines.h"
#include "base/recency.h"
#include "dtls13/cookie_exchange.h"
#include "engine/arrivals.h"
#include "engine/fleet_link.h"
#include "engine/handshake_pace.h"
#include "engine/opened_hellos.h"
#include "engine/peer_mobility.h"
#include "engine/recent_refusals.h"
#include "record/cookie.h"
#include "record/dtls_client_hello.h"

namespace mcbn {

// What connection IDs say of the node that gave them.
struct NodeIdOptions {
  NodeIdForm form;
  Bytes key;  // NodeIdCipher::kKeyBytes; empty: in the clear
  uint32_t node = 0;
};

struct ServerOptions {
  Address local;
  UdpOptions udp;
  DtlsOptions dtls;
  bool speaks12 = true;
  // Null: no DTLS 1.3.
  std::shared_ptr<const dtls13::Settings> dtls13;
  Milliseconds idle_timeout = 0;  // 0: never
  Microseconds busy_poll = 0;     // see Endpoint::busy_poll
  Bytes cookie_secret;            // empty: a random one
  Bytes row_key;                  // seals rows for a session store; empty: there is none
  // Of several endpoints on one address, each with its own thread: how many there are, and
  // which one this is, in the order in which they are opened.
  size_t threads = 1;
  size_t thread_index = 0;
  std::optional<NodeIdOptions> node;
  std::shared_ptr<FleetDirectory> fleet;  // null: there is none
  FleetLinkOptions fleet_link;
  // Has this endpoint's thread call announce() soon; from any thread.
  std::function<void()> announce_soon = [] {};
  std::shared_ptr<Admission> admission;  // null: the endpoint makes one, with the default limits
  // Has this endpoint's thread call evict() soon; from any thread.
  std::function<void()> evict_soon = [] {};
};

// What became of a sealed session.
enum class ImportFault : uint8_t {
  None,
  Sealed,           // see SealFault
  Elsewhere,        // its connection ID, or the lack of one, would not lead to this endpoint
  Limit,            // maxSessions, maxSessionsPerHost
  UnknownIdentity,  // its identity has no key, or was revoked
  Ask,              // JavaScript may know the identity
};

struct ImportVerdict {
  ImportFault fault = ImportFault::None;
  SealFault seal = SealFault::None;
  uint32_t session = 0;  // its number here
  // What JavaScript is told of it; none: EventKind::Opened follows, once its row has been written.
  std::optional<OpenedEvent> opened = std::nullopt;
  // Whom to ask about.
  PskQuestion question = {};
  Address peer = {};
};

class ServerEndpoint final : public Endpoint,
                             private PeerMobility::Owner,
                             private FleetLink::Owner,
                             private Endpoint::Detour {
 public:
  ServerEndpoint(uint32_t id, IoServices& services, std::shared_ptr<const Context> context,
                 ServerOptions options);
  ~ServerEndpoint() override;
  ServerEndpoint* asServer() override { return this; }

  SystemError open();
  // Takes part in what comes to the address. Endpoints of one address are all opened first: a peer
  // that was answered by one must not be given to another that joined later.
  void start();
  // Whether other endpoints can share the address; known once the first one is open.
  bool balanced() const { return balanced_; }

  void receive(Milliseconds now) override;
  void receiveForwarded(Milliseconds now) override;
  // Tells the other nodes of the fleet what this one has.
  void announce(Milliseconds now);
  void expire(Milliseconds now) override;
  Milliseconds deadline() const override;
  Association* find(uint32_t session) override;
  bool sessionsMayWait() const override { return true; }
  void closeAll(Goodbye goodbye) override;
  // Numbers of sessions that exportSession() can take, so many at most, without those of `except`.
  std::vector<uint32_t> portableSessions(size_t most,
                                         const std::unordered_set<uint32_t>& except = {}) const;
  // Goes on with a session of another endpoint or process, if its identity has a key here. `row`: the
  // session comes from a store's row of this name, and is told of once that has been written anew.
  enum class KeyValidity : bool { ByTable, Vouched };  // Vouched: JavaScript has said that it has
  ImportVerdict importSession(SessionSeal& seal, ByteView sealed, KeyValidity validity,
                              Milliseconds now, const RowName* row = nullptr);
  // Ends the sessions of an identity with `failure`; how many there were.
  size_t endSessionsOf(const Identity& identity, const Failure& failure);
  void setKeylog(bool on) override;
  // Ends the most silent sessions, as many as Admission has given away.
  void evict(Milliseconds now);
  // The application knows that the peer is there. Without effect if it has moved on since.
  void confirmAddress(uint32_t session, const std::string& host, uint16_t port);

 private:
  void expect(std::span<const ReceivedDatagram> datagrams) const;
  size_t routeTrain(std::span<const ReceivedDatagram> datagrams, Milliseconds now);
  void routeOne(const ReceivedDatagram& received, Milliseconds now);
  void route(const Address& from, MutableBytes datagram, Milliseconds now);
  void routeTo(Association& association, const Address& from, MutableBytes datagram,
               Milliseconds now);
  void strayed(const Address& from, ByteView id, MutableBytes datagram, Milliseconds now);
  SystemError joinFleet();
  void watchFleet();
  void leaveFleet();
  void welcome(Association& association, Milliseconds now);
  void arrived(const Address& from, MutableBytes datagram, Milliseconds now) override;
  void sendOut(const Address& client, ByteView datagram) override;
  void sendThrough(const Address& peer, ByteView datagram) override;
  void flushDetours() override;
  bool greet(const Address& from, MutableBytes datagram, Milliseconds now);
  void greetOlder(const Address& from, MutableBytes datagram, Milliseconds now);
  void hello(const Address& from, MutableBytes datagram, const DtlsClientHello& hello,
             Milliseconds now);
  void hello13(const Address& from, MutableBytes datagram, Milliseconds now);
  bool repeats(const Address& from, MutableBytes datagram, ByteView random, Milliseconds now);
  bool mayBegin(const Address& from, Milliseconds now);
  bool mayAnswer();
  bool replacesHandshake(const Address& from);
  bool makeRoom(const Address& from, Milliseconds now);
  Association* waitingFor(const std::string& whose, Milliseconds now) const;
  Milliseconds waitingDeadline() const;
  void endOverdue(Milliseconds now);
  void displace(Association& association);
  void waits(Association& association, Milliseconds now);
  void waitsNoMore(Association& association);
  void tellWaiting();
  uint32_t nextSession();
  void rememberRefusal(const Association& association);
  Association& enlist(std::unique_ptr<Association> made, ByteView random, Milliseconds now);
  void deliver(Association& association, MutableBytes datagram, Milliseconds now);
  bool takenBy(Association& current, MutableBytes datagram, Milliseconds now);
  Association* chooseFor(const PeerDirectory::Place& place, ByteView datagram) const;
  void endWith(Association& association, const Failure& failure);
  void leave() override;
  bool mayAsk() override;
  bool onOpened(Association& association) override;
  void onAnswered(Association& association, Milliseconds now) override;
  void commitReply(size_t length) override;
  void pathResponse(const PathCookie& cookie) override;
  bool listened() const override { return !events_.full(); }
  void addressChanged(Association& association) override;
  void challenge(Association& association, const PathCookie& cookie) override;
  void onActive(Association& association) override;
  void tellSilence();
  void drop(Association& association);
  Milliseconds idleDeadline(const Association& association) const;

  std::shared_ptr<const Context> context_;
  ServerOptions options_;
  Cookies cookies_;
  std::unique_ptr<dtls13::CookieExchange> cookies13_;  // null: no DTLS 1.3
  Bytes whole_;  // a hello of DTLS 1.2 that came in fragments, where there is DTLS 1.3 too
  uint32_t last_session_ = 0;
  std::unordered_map<uint32_t, std::unique_ptr<Association>> associations_;
  std::unique_ptr<NodeIds> node_ids_;  // null: connection IDs name no node
  PeerDirectory directory_;
  Deadlines deadlines_;
  std::shared_ptr<Admission> admission_;
  Admission::Member member_;
  RecencyList<Association> recency_;  // of open sessions, where evictAfter is on
  RecencyList<Association> waiting_;  // handshakes whose clients are due, by how long
  bool crowded_ = false;              // when a newcomer was last let in
  HandshakePace pace_;
  OpenedHellos opened_hellos_;
  bool balanced_ = false;
  PeerMobility mobility_;
  RecentRefusals refusals_;
  std::unique_ptr<FleetLink> link_;  // null: there is no fleet
  bool link_watched_ = false;
  Arrivals arrivals_;
  const Address* origin_ = nullptr;  // of the datagram being received by ID
};

}  // namespace mcbn
