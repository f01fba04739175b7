#include "binding/endpoint_options.h"

#include "binding/convert.h"

namespace mcbn {
namespace {

Milliseconds millisecondsOf(const Napi::Object& options, const char* name) {
  return static_cast<Milliseconds>(intOption(options, name, 0));
}

UdpOptions udpOptions(const Napi::Object& given) {
  UdpOptions options;
  options.reusePort = boolOption(given, "reusePort");
  options.ipv6Only = boolOption(given, "ipv6Only");
  options.recvBufferSize = intOption(given, "recvBufferSize", 0);
  options.sendBufferSize = intOption(given, "sendBufferSize", 0);
  return options;
}

DtlsOptions dtlsOptions(const Napi::Object& given) {
  DtlsOptions options;
  options.mtu = static_cast<size_t>(intOption(given, "mtu", 1400));
  options.handshake_timeout = millisecondsOf(given, "handshakeTimeout");
  options.retransmit_timeout = millisecondsOf(given, "retransmitTimeout");
  options.replay_window = static_cast<uint32_t>(intOption(given, "replayWindow", 64));
  options.keylog = boolOption(given, "keylog");
  options.openssl_records = boolOption(given, "opensslRecords");
  if (const int32_t length = intOption(given, "connectionId", -1); length >= 0) {
    options.connection_id = static_cast<size_t>(length);
  }
  options.servername = stringOption(given, "servername");
  return options;
}

std::optional<Address> addressOf(const Napi::Object& given) {
  return Address::parse(stringOption(given, "address"),
                        static_cast<uint16_t>(intOption(given, "port", 0)));
}

// Where a client sends from; no address: the system chooses. nullopt: it was given, but is none.
std::optional<Address> localOf(const Napi::Object& given, const Address& remote) {
  const int32_t port = intOption(given, "localPort", 0);
  std::string host = stringOption(given, "localAddress");
  if (host.empty() && port == 0) return Address();
  if (host.empty()) host = remote.isIpv6() ? "::" : "0.0.0.0";
  return Address::parse(host, static_cast<uint16_t>(port));
}

}  // namespace

std::optional<ServerOptions> serverOptions(const Napi::Object& given) {
  const auto local = addressOf(given);
  if (!local) return std::nullopt;
  ServerOptions options;
  options.local = *local;
  options.udp = udpOptions(given);
  options.dtls = dtlsOptions(given);
  options.idle_timeout = millisecondsOf(given, "idleTimeout");
  options.threads = static_cast<size_t>(intOption(given, "threads", 1));
  options.thread_index = static_cast<size_t>(intOption(given, "threadIndex", 0));
  const auto secret = viewOf(given.Get("cookieSecret"));
  options.cookie_secret.assign(secret.begin(), secret.end());
  return options;
}

SealFault takeSealed(ByteView sealed, ByteView key, const Identity& identity,
                     const Context& context, std::optional<PortableSession>& session) {
  auto opened = SessionSeal(key).unseal(sealed, context);
  if (opened.fault != SealFault::None) return opened.fault;
  if (!identity.empty() && opened.session->state.identity != identity) {
    return SealFault::OtherIdentity;
  }
  if (!ImportedSessions::ofProcess().take(sealed)) return SealFault::UsedBefore;
  session = std::move(opened.session);
  return SealFault::None;
}

std::optional<ClientOptions> clientOptions(const Napi::Object& given,
                                           std::optional<PortableSession> session) {
  const bool its_own = session && stringOption(given, "address").empty();
  const auto remote = its_own ? Address::fromBytes(session->peer.view()) : addressOf(given);
  const auto local = remote ? localOf(given, *remote) : std::nullopt;
  if (!local) return std::nullopt;
  ClientOptions options;
  options.remote = *remote;
  options.local = *local;
  options.udp = udpOptions(given);
  options.dtls = dtlsOptions(given);
  options.idle_timeout = millisecondsOf(given, "idleTimeout");
  if (session) session->state.replay_window = options.dtls.replay_window;
  options.session = std::move(session);
  if (given.Get("key").IsTypedArray()) {
    options.key.emplace(bytesOf(given.Get("identity")),
                        entryOf(given.Get("key"), given.Get("hash")));
  }
  return options;
}

}  // namespace mcbn
