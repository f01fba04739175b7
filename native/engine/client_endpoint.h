// client_endpoint.h: a connected UDP socket with one session.
//
// A session that came from a session store's row may be one that the server has lost. Where both
// sides do the return routability check (RFC 9853), the server is asked for a path_response before
// JavaScript hears of the session; without an answer it ends, and JavaScript makes another.
//
// Ownership   the IoThread owns it.
// Thread      the I/O thread, except for open(), which JavaScript's thread calls before add().
#pragma once

#include "engine/endpoint.h"

namespace mcbn {

struct ClientOptions {
  Address remote;
  Address local;  // no address: the system chooses
  UdpOptions udp;
  DtlsOptions dtls;
  // Null: DTLS 1.2. Else DTLS 1.3, and nothing older.
  std::shared_ptr<const dtls13::Settings> dtls13;
  Milliseconds idle_timeout = 0;  // 0: never
  Microseconds busy_poll = 0;     // see Endpoint::busy_poll
  // Goes on with this one instead of a handshake.
  std::optional<PortableSession> session;
  std::unique_ptr<const RowName> row;  // that `session` came from; null: it is no row's
  Bytes row_key;                       // seals rows for a session store; empty: there is none
  Bytes row_prefix;                    // how the rows' names begin
  // Absent: JavaScript is asked once the server's hint is known.
  std::optional<std::pair<Identity, PskEntry>> key;
  std::vector<dtls13::ClientKey> other_keys;  // offered as well, with DTLS 1.3
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
  void closeAll(Goodbye goodbye) override;

 private:
  static Association begun(std::shared_ptr<const Context> context, ClientOptions& options,
                           CipherContexts& ciphers);
  void leave() override;
  void restored(Association& association) override;
  void commitMessage(size_t length) override;
  void pathResponse(const PathCookie& cookie) override;
  void dropped(DropReason reason) override;
  void checkServer(Milliseconds now);
  void answered();
  void onSendError(const SystemError& error) override;
  void unreachable(const SystemError& error);
  Milliseconds idleDeadline() const;

  const Milliseconds idle_timeout_;
  std::unique_ptr<ClientOptions> options_;  // until the session has begun
  std::unique_ptr<PeerPath> check_;         // while the server has yet to answer on a row's session
  Association association_;
};

}  // namespace mcbn
