// endpoint.h: one UDP socket with the sessions that live on it.
//
//   receive() -> datagrams from the system -> sessions -> EventBatch
//   send()    -> session -> outbox -> flush() -> the system
//
// Two kinds: ServerEndpoint tells many peers apart by their addresses, ClientEndpoint has one
// session on a connected socket. What they share is here: the outbox and how sessions report.
//
// Ownership   the IoThread owns endpoints; an endpoint owns its socket and sessions.
// Thread      the I/O thread, except for open(), which JavaScript's thread calls before add().
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "datagram/poller.h"
#include "datagram/udp_socket.h"
#include "engine/arena.h"
#include "engine/busy_poll.h"
#include "engine/event.h"
#include "engine/free_memory.h"
#include "engine/peer_path.h"
#include "engine/session.h"
#include "session/sealed_session.h"

namespace mcbn {

struct EndpointStats {
  uint64_t datagrams_received = 0;
  uint64_t datagrams_sent = 0;
  uint64_t bytes_received = 0;  // UDP payload
  uint64_t bytes_sent = 0;
  uint64_t messages_received = 0;  // decrypted, those that JavaScript did not take included
  uint64_t messages_sent = 0;
  uint64_t retransmits = 0;  // flights of handshakes
  uint64_t hello_verify_requests = 0;
  uint64_t handshakes_started = 0;
  uint64_t handshakes_completed = 0;
  uint64_t handshakes_failed = 0;
  uint64_t sessions = 0;               // now
  uint64_t handshakes_displaced = 0;   // of those failed: they waited, and gave their place
  uint64_t evictions = 0;              // sessions that gave their place to a newcomer
  uint64_t address_changes = 0;        // of peers with a connection ID
  uint64_t address_checks_failed = 0;  // return routability: no answer from the new address
  uint64_t dropped_unknown_peer = 0;   // no session, no ClientHello
  uint64_t dropped_unknown_connection_id = 0;
  uint64_t dropped_unconfirmed = 0;  // not sent: three times what came from a new address
  uint64_t dropped_bad_cookie = 0;
  uint64_t forwarded = 0;           // clients' datagrams, to other nodes of the fleet
  uint64_t received_forwarded = 0;  // the same, from them
  uint64_t answers_forwarded = 0;   // through the node that hears the client
  uint64_t answers_relayed = 0;     // other nodes', to clients that this one hears
  uint64_t dropped_unknown_node = 0;
  uint64_t dropped_forward_forged = 0;
  uint64_t dropped_forward_replayed = 0;
  uint64_t dropped_forward_stale = 0;
  uint64_t dropped_forward_misdirected = 0;
  uint64_t dropped_forward_limit = 0;
  uint64_t dropped_forward_sends = 0;
  uint64_t dropped_limit = 0;     // maxSessions, maxHandshakes, maxSessionsPerHost, one a second
  uint64_t dropped_refusals = 0;  // failed handshakes that JavaScript was not told of
  uint64_t dropped_messages = 0;  // JavaScript did not take them in time
  uint64_t dropped_sends = 0;     // the system refused the datagram
  uint64_t dropped_unreserved_sends = 0;  // the session store had not taken their numbers
  std::array<uint64_t, kDropReasons> dropped_records{};  // by DropReason
};

// What the system does for an endpoint's socket at this moment.
struct SocketFigures {
  Offloads offloads;
  int recv_buffer_size = 0;  // bytes, as the system reports them
  int send_buffer_size = 0;
};

// What the I/O thread lends its endpoints.
struct IoServices {
  Poller& poller;
  EventQueue& events;
  CipherContexts& ciphers;
  FreeMemory free_memory = {};
  // What flush() makes of an outbox.
  std::vector<OutgoingDatagram> batch = {};
  // Lent to the endpoint that is writing: ten thousand idle ones need no buffer each.
  Arena spare = {};
  // What all clients receive into; only JavaScript's thread touches the pointer.
  std::shared_ptr<ReceiveSlab> client_slab = {};
};

// One session and whom it talks to.
struct Association {
  Association(uint32_t number, const Address& remote, std::shared_ptr<const Context> context,
              const DtlsOptions& options, CipherContexts& ciphers)
      : id(number), peer(remote), session(std::move(context), options, &ciphers) {}

  // Of DTLS 1.3.
  Association(uint32_t number, const Address& remote, Role role,
              std::shared_ptr<const dtls13::Settings> settings, const DtlsOptions& options)
      : id(number), peer(remote), session(role, std::move(settings), options) {}

  // Of a session that came from elsewhere, open.
  Association(uint32_t number, const Address& remote, PortableSession from, Session::Home home)
      : id(number), peer(remote), session(std::move(from), std::move(home)) {}

  bool hasConnectionId() const { return !connection_id.empty(); }
  // Where the peer was before it was heard from elsewhere.
  const Address& confirmedAddress() const { return path ? path->confirmed() : peer; }

  const uint32_t id;
  Address peer;
  Session session;
  Bytes connection_id;                 // a server's: what the endpoint finds the session by
  std::unique_ptr<PeerPath> path;      // while the peer is heard from an address not confirmed yet
  std::unique_ptr<const RowName> row;  // in the session store; null: it has none
  bool unannounced = false;            // came from a row, and waits until the next one is stored
  bool unheard = false;  // came from another node, and the peer has sent nothing here since
  bool opened = false;
  bool ended = false;
  uint32_t undelivered = 0;           // messages that JavaScript did not take in time
  bool displaced = false;             // its place is another's already
  bool unplaced = false;              // the handshake is done, but there is no place for it
  Milliseconds active = 0;            // when a message was last received or sent
  Milliseconds waits_since = kNever;  // a handshake whose client is due
  Milliseconds looked_at = kNever;    // when its deadlines are looked at next, at the latest
  uint32_t lookup = 0;                // of Admission, once asked; 0: never
  Association* older = nullptr;       // of a RecencyList: one for handshakes, one for open sessions
  Association* newer = nullptr;
  std::array<uint8_t, 32> random{};  // of the ClientHello
};

class ServerEndpoint;

class Endpoint : protected SessionSink {
 public:
  // Messages or datagrams of one session that are handled at once.
  static constexpr size_t kTrain = 64;

  // Peers that another node of a fleet hears are answered through it.
  class Detour {
   public:
    virtual void sendThrough(const Address& peer, ByteView datagram) = 0;
    virtual void flushDetours() = 0;

   protected:
    ~Detour() = default;
  };

  virtual ~Endpoint();

  virtual void receive(Milliseconds now) = 0;
  // The same of what other nodes of a fleet have sent: of the socket whose events have kFleetToken.
  virtual void receiveForwarded(Milliseconds) {}
  static constexpr uint64_t kFleetToken = uint64_t{1} << 32;
  virtual void expire(Milliseconds now) = 0;
  virtual Milliseconds deadline() const = 0;
  virtual Association* find(uint32_t session) = 0;
  // Itself, if it is a server's.
  virtual ServerEndpoint* asServer() { return nullptr; }
  // Whether JavaScript may hear a little later that a session has opened or ended.
  virtual bool sessionsMayWait() const { return false; }
  // Ends every session, with a goodbye unless they go on elsewhere; no events follow.
  enum class Goodbye : bool { No, Yes };
  virtual void closeAll(Goodbye goodbye = Goodbye::Yes) = 0;
  // Of all its sessions, and of those to come.
  virtual void setKeylog(bool on) = 0;

  // Messages of one session. They have room around them as frame.h says, and are needed until
  // flush().
  void send(uint32_t session, std::span<const MutableBytes> messages, Milliseconds now);
  void answer(uint32_t session, uint32_t number, PskAnswer answer, std::optional<Failure> failure,
              Milliseconds now);
  // Has a session of DTLS 1.3 use new keys, and with `both` its peer too; other sessions stay as they are.
  void updateKeys(uint32_t session, bool both, Milliseconds now);
  // close_notify, then gone; no events follow.
  virtual void closeSession(uint32_t session);

  // Takes a session away and seals it. False: there is none, or it cannot go on elsewhere. Where
  // sealing fails the session has ended all the same, and its event says so.
  bool exportSession(uint32_t session, SessionSeal& seal, Milliseconds now, Bytes& out);

  // From now on sessions have rows in a session store, sealed by `seal` and told by EventKind::Row
  // (session/reservation.h). `mtu`: bytes of UDP payload. `prefix`: how the rows' names begin; the
  // rest is random.
  void keepRows(std::unique_ptr<SessionSeal> seal, size_t mtu, Bytes prefix = {});
  // The rows last told of these sessions are stored.
  void rowsWritten(std::span<const uint32_t> sessions, Milliseconds now);
  // Takes a session away and makes the row with which the next process goes on exactly here. nullopt:
  // there is no such session, or it has no row.
  std::optional<RowEvent> takeRow(uint32_t session, Milliseconds now);

  // Gives the outbox to the system; what it does not take waits for the poller.
  void flush();
  bool blocked() const { return blocked_; }
  bool hasOutgoing() const { return !outbox_.empty(); }

  uint32_t id() const { return id_; }
  Address localAddress() const { return socket_.localAddress(); }
  const std::shared_ptr<ReceiveSlab>& slab() const { return socket_.slab(); }
  const EndpointStats& stats() const { return stats_; }
  SocketFigures socketFigures() const {
    return {socket_.offloads(), socket_.recvBufferSize(), socket_.sendBufferSize()};
  }

  // Of the IoThread.
  bool dirty = false;      // waits for flush()
  uint32_t submitted = 0;  // the last submission with a message for it
  // How long its thread may look for the next datagram before it sleeps (busy_poll.h); set before
  // add().
  Microseconds busy_poll = 0;

 protected:
  Endpoint(uint32_t id, IoServices& services)
      : id_(id), services_(services), events_(services.events) {}

  SystemError watch();
  // Around every call into a session.
  void enter(Association& association) { current_ = &association; }
  virtual void leave() = 0;  // drops it if it has ended
  // False: there is no place for it; leave() ends it.
  virtual bool onOpened(Association&) { return true; }
  // `active` has changed.
  virtual void onActive(Association&) {}
  virtual void onSendError(const SystemError&) {}
  // A question of its handshake has been answered.
  virtual void onAnswered(Association&, Milliseconds) {}
  // In leave(), of an association that has not ended: its row, if one is due.
  void keepRow(Association& association);
  // Its numbers are reserved again, of a session that came from a row: tells JavaScript of it.
  virtual void restored(Association& association);
  // It is gone for good, and so is its row.
  void forgetRow(const Association& association);
  bool keepsRows() const { return row_seal_ != nullptr; }
  // Bound to `row` unless that is null.
  bool takeAway(Association& association, SessionSeal& seal, const RowName* row, Milliseconds now,
                Bytes& out);
  void touch(Association& association, Milliseconds now);
  // What JavaScript is told of an open session.
  static OpenedEvent openedEvent(const Association& association, Opened opened, size_t max_message);
  // The same of one that was open from the beginning. `mtu`: bytes of UDP payload.
  static OpenedEvent openedEvent(const Association& association, size_t mtu);
  // The connection ID that the datagram names its session by, in the form of either version.
  std::optional<ByteView> idIn(ByteView datagram, size_t id_length) const;
  // How many of the first datagrams can go to an open session at once: they are from one sender,
  // and begin with a record of application data, or with one of the same connection ID. What DTLS
  // 1.3 encrypts does not tell what it is.
  size_t trainLength(std::span<const ReceivedDatagram> datagrams, size_t id_length) const;
  void receiveInto(Association& association, MutableBytes datagram, Milliseconds now) {
    receiveInto(association, {&datagram, 1}, now);
  }
  void receiveInto(Association& association, std::span<const MutableBytes> datagrams,
                   Milliseconds now);
  // At most kTrain.
  void receiveTrain(Association& association, std::span<const ReceivedDatagram> train,
                    Milliseconds now);
  void post(const Address& to, ByteView datagram);
  // What was reserved by reserveDatagram() goes to `to`.
  void commitTo(const Address& to, size_t length);
  void report(EventKind kind, EventDetail detail);

  // SessionSink
  void datagram(ByteView bytes) override;
  uint8_t* reserveDatagram(size_t capacity) override;
  void commitDatagram(size_t length) override;
  void lendDatagram(ByteView bytes) override;
  uint8_t* reserveMessage(size_t capacity) override;
  void commitMessage(size_t length) override;
  void opened(const Opened& opened, size_t max_message) override;
  void question(const PskQuestion& question) override;
  void ended(const std::optional<Failure>& failure) override;
  void keylog(const std::string& line) override;
  void dropped(DropReason reason) override;
  void retransmitted() override { stats_.retransmits += 1; }

  Detour* detour_ = nullptr;  // null: there is no fleet
  bool speaks13_ = false;     // DTLS 1.3 too, or alone
  const uint32_t id_;
  IoServices& services_;
  EventQueue& events_;
  UdpSocket socket_;
  EndpointStats stats_;
  Association* current_ = nullptr;
  Milliseconds time_ = 0;  // of the call that is being served

 private:
  struct Waiting {
    const uint8_t* lent;  // null: in outgoing_
    size_t offset;        // of outgoing_
    size_t length;
    Address to;
  };

  ByteView bytesOf(const Waiting& waiting) const {
    return waiting.lent ? ByteView(waiting.lent, waiting.length)
                        : outgoing_.view(waiting.offset, waiting.length);
  }
  void keepLent();
  void setBlocked(bool blocked);
  Arena& outgoing();
  const Address* destination(size_t length);
  void takeDetours();

  std::unique_ptr<SessionSeal> row_seal_;  // null: there is no session store
  size_t row_mtu_ = 0;
  Bytes row_prefix_;
  Arena outgoing_;
  std::vector<Waiting> outbox_;
  size_t sent_ = 0;  // of outbox_
  bool blocked_ = false;
  bool watched_ = false;
};

}  // namespace mcbn
