// client_endpoint.h: a connected UDP socket with one session.
//
// A session that came from a session store's row may be one that the server has lost. Where both
// sides do the return routability check (RFC 9853), the server is asked for a path_response before
// JavaScript hears of the session; without an answer it ends, and JavaScript makes another.
//
// With both versions there are two handshakes at times, both of this one session: engine/version_choice.h has
// the rules, client_versions.cc what they do here.
//
// Ownership   the IoThread owns it.
// Thread      the I/O thread, except for open(), which JavaScript's thread calls before add().
#pragma once

#include "engine/endpoint.h"
#include "engine/version_choice.h"

namespace mcbn {

struct ClientOptions {
  Address remote;
  Address local;  // no address: the system chooses
  UdpOptions udp;
  DtlsOptions dtls;
  std::shared_ptr<const dtls13::Settings> dtls13;  // null: DTLS 1.2 alone
  bool falls_back = false;                         // with DTLS 1.3: DTLS 1.2, too
  Milliseconds idle_timeout = 0;                   // 0: never
  Microseconds busy_poll = 0;                      // see Endpoint::busy_poll
  // Goes on with this one instead of a handshake.
  std::optional<PortableSession> session;
  std::unique_ptr<const RowName> row;  // that `session` came from; null: it is no row's
  Bytes row_key;                       // seals rows for a session store; empty: there is none
  Bytes row_prefix;                    // how the rows' names begin
  // Absent: JavaScript is asked once the server's hint is known.
  std::optional<std::pair<Identity, PskEntry>> key;
  std::vector<dtls13::ClientKey> other_keys;  // offered as well, with DTLS 1.3 alone
};

class ClientEndpoint final : public Endpoint {
 public:
  static constexpr uint32_t kSession = 1;

  // `context` is for DTLS 1.2.
  ClientEndpoint(uint32_t id, IoServices& services, std::shared_ptr<const Context> context,
                 ClientOptions options);

  SystemError open();
  void start(Milliseconds now);

  void receive(Milliseconds now) override;
  void expire(Milliseconds now) override;
  Milliseconds deadline() const override;
  Association* find(uint32_t session) override;
  void closeSession(uint32_t session) override;
  void closeAll(Goodbye goodbye) override;
  void setKeylog(bool on) override;

 private:
  // While the version is open: `association_` is DTLS 1.3's, or what is left when that has failed.
  struct Versions {
    VersionChoice choice;
    std::unique_ptr<Association> older;   // null: not begun, or not any more
    const Association* opened = nullptr;  // one of the two
    std::shared_ptr<const Context> context;
    DtlsOptions options;
    std::optional<std::pair<Identity, PskEntry>> key;
    std::optional<Bytes> connection_id;  // in records to us; absent: none in either direction
    Milliseconds begun = 0;
  };

  static std::unique_ptr<Association> begun(std::shared_ptr<const Context> context,
                                            ClientOptions& options, CipherContexts& ciphers);
  void leave() override;
  void restored(Association& association) override;
  void commitMessage(size_t length) override;
  void pathResponse(const PathCookie& cookie) override;
  void dropped(DropReason reason) override;
  bool onOpened(Association& association) override;
  void ended(const std::optional<Failure>& failure) override;
  // client_versions.cc
  void chooseVersions(std::shared_ptr<const Context> context, const ClientOptions& options);
  void receiveByVersion(MutableBytes datagram, Milliseconds now);
  void expireOlder(Milliseconds now);
  void failed(const std::optional<Failure>& failure);
  void settleVersions();
  void beginOlder();
  void checkServer(Milliseconds now);
  void answered();
  void onSendError(const SystemError& error) override;
  void unreachable(const SystemError& error);
  Milliseconds idleDeadline() const;

  const Milliseconds idle_timeout_;
  std::unique_ptr<ClientOptions> options_;  // until the session has begun
  std::unique_ptr<PeerPath> check_;         // while the server has yet to answer on a row's session
  std::unique_ptr<Versions> versions_;      // until one of two is open
  std::unique_ptr<Association> association_;
};

}  // namespace mcbn
