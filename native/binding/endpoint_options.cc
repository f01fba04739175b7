#include "binding/endpoint_options.h"

#include "binding/fields.h"
#include "binding/key_fields.h"

namespace mcbn {
namespace {

constexpr int32_t kLargestDatagram = 65'535;
constexpr int32_t kMostThreads = 64;

Milliseconds millisecondsOf(Fields& given, const char* name) {
  return static_cast<Milliseconds>(given.integer(name, 0));
}

UdpOptions udpOptions(Fields& given) {
  UdpOptions options;
  options.reusePort = given.flag("reusePort");
  options.ipv6Only = given.flag("ipv6Only");
  options.recvBufferSize = given.integer("recvBufferSize", 0);
  options.sendBufferSize = given.integer("sendBufferSize", 0);
  return options;
}

DtlsOptions dtlsOptions(Fields& given) {
  DtlsOptions options;
  options.mtu = static_cast<size_t>(given.integer("mtu", 0, kLargestDatagram));
  options.handshake_timeout = millisecondsOf(given, "handshakeTimeout");
  options.retransmit_timeout = millisecondsOf(given, "retransmitTimeout");
  options.forgery_limit = static_cast<uint64_t>(given.integer("forgeryLimit", 0));
  options.replay_window = static_cast<uint32_t>(given.integer("replayWindow", 0));
  options.keylog = given.flag("keylog");
  options.openssl_records = given.flag("opensslRecords");
  if (const int32_t length = given.integer("connectionId", -1, kMaxOwnConnectionIdBytes);
      length >= 0) {
    options.connection_id = static_cast<size_t>(length);
  }
  return options;
}

std::optional<Address> addressOf(Fields& given) {
  const std::string host = given.text("address");
  return Address::parse(host, static_cast<uint16_t>(given.integer("port", 0, UINT16_MAX)));
}

// Where a client sends from; no address: the system chooses. nullopt: it was given, but is not an address.
std::optional<Address> localOf(std::string host, uint16_t port, const Address& remote) {
  if (host.empty() && port == 0) return Address();
  if (host.empty()) host = remote.isIpv6() ? "::" : "0.0.0.0";
  return Address::parse(host, port);
}

// Opens a client's sealed session for one of its identities (none: for any), and uses it up. `row`: see unseal().
SealFault takeSealed(ByteView sealed, ByteView key, ByteView row, const Context& context,
                     ClientOptions& options) {
  SessionSeal seal(key);
  auto opened = Session::unseal(seal, sealed, context, !options.dtls13 || options.falls_back,
                                options.dtls13.get(), row);
  if (opened.fault != SealFault::None) return opened.fault;
  const auto is = [&](const Identity& identity) { return identity == opened.session->identity(); };
  const auto other = [&](const dtls13::ClientKey& key) { return is(key.identity); };
  const bool ours =
      !options.key || is(options.key->first) || std::ranges::any_of(options.other_keys, other);
  if (!ours) return SealFault::OtherIdentity;
  if (!ImportedSessions::ofProcess().take(sealed)) return SealFault::UsedBefore;
  options.session = std::move(opened.session);
  return SealFault::None;
}

// { sealed, sealingKey, row }; without `options.session` afterwards, an exception is pending or the
// fault tells why.
SealFault resume(const Napi::Value& value, const Context& context, ClientOptions& options) {
  Fields given(value, "resumed session");
  ByteView sealed, key, row;
  given.bytes("sealed", sealed);
  given.bytes("sealingKey", key);
  given.bytes("row", row);
  if (!given.complete()) return SealFault::None;
  if (key.size() != SessionSeal::kKeyBytes) return SealFault::Forged;
  if (!row.empty()) {
    RowName name;
    if (row.size() != name.size()) return SealFault::Forged;
    std::ranges::copy(row, name.begin());
    options.row = std::make_unique<const RowName>(name);
  }
  return takeSealed(sealed, key, row, context, options);
}

// { node, nodeBytes, rotation, key }; nullopt: a JavaScript exception is pending.
std::optional<NodeIdOptions> nodeOf(const Napi::Value& value, size_t length) {
  Fields given(value, "node ID");
  NodeIdOptions options;
  options.node = static_cast<uint32_t>(given.integer("node", 0));
  options.form.length = length;
  options.form.node_bytes = static_cast<size_t>(given.integer("nodeBytes", 1, 4));
  options.form.rotation = static_cast<uint8_t>(given.integer("rotation", 0, 6));
  ByteView key;
  given.bytes("key", key);
  if (!given.complete()) return std::nullopt;
  options.key.assign(key.begin(), key.end());
  return options;
}

// { address, port, forwardLimit }; false: an exception is pending, or it is no address.
bool readFleet(const Napi::Value& value, ServerOptions& options) {
  Fields given(value, "fleet link");
  const auto local = addressOf(given);
  options.fleet_link.most_forwards = static_cast<uint64_t>(given.integer("forwardLimit", 0));
  if (!given.complete() || !local) return false;
  options.fleet_link.local = *local;
  options.fleet_link.udp = options.udp;
  options.fleet_link.threads = options.threads;
  options.fleet_link.thread_index = options.thread_index;
  return true;
}

}  // namespace

std::optional<ServerOptions> serverOptions(const Napi::Value& value) {
  Fields given(value, "listen options");
  ServerOptions options;
  const auto local = addressOf(given);
  options.udp = udpOptions(given);
  options.dtls = dtlsOptions(given);
  options.idle_timeout = millisecondsOf(given, "idleTimeout");
  options.busy_poll = static_cast<Microseconds>(given.integer("busyPoll", 0));
  options.threads = static_cast<size_t>(given.integer("threads", 1, kMostThreads));
  options.thread_index = static_cast<size_t>(given.integer("threadIndex", 0, kMostThreads - 1));
  ByteView secret, row_key;
  given.bytes("cookieSecret", secret);
  given.bytes("rowKey", row_key);
  const Napi::Value node = given.optional("node");
  const Napi::Value fleet = given.optional("fleet");
  if (!given.complete() || !local) return std::nullopt;
  options.cookie_secret.assign(secret.begin(), secret.end());
  options.row_key.assign(row_key.begin(), row_key.end());
  if (!node.IsUndefined()) {
    options.node = nodeOf(node, options.dtls.connection_id.value_or(0));
    if (!options.node) return std::nullopt;
  }
  if (!fleet.IsUndefined() && !readFleet(fleet, options)) return std::nullopt;
  if (!options.row_key.empty() && options.row_key.size() != SessionSeal::kKeyBytes) {
    return std::nullopt;
  }
  options.local = *local;
  return options;
}

std::optional<ClientOptions> clientOptions(const Napi::Value& value, const Context& context,
                                           std::shared_ptr<const dtls13::Settings> newer,
                                           SealFault& fault) {
  Fields given(value, "connect options");
  ClientOptions options;
  options.dtls13 = std::move(newer);
  options.falls_back = options.dtls13 && context.speaks12();
  const std::string host = given.text("address");
  const auto port = static_cast<uint16_t>(given.integer("port", 0, UINT16_MAX));
  const std::string local_host = given.text("localAddress");
  const auto local_port = static_cast<uint16_t>(given.integer("localPort", 0, UINT16_MAX));
  options.udp = udpOptions(given);
  options.dtls = dtlsOptions(given);
  options.dtls.servername = given.text("servername");
  options.idle_timeout = millisecondsOf(given, "idleTimeout");
  options.busy_poll = static_cast<Microseconds>(given.integer("busyPoll", 0));
  ByteView row_key, row_prefix;
  given.bytes("rowKey", row_key);
  given.bytes("rowPrefix", row_prefix);
  const Napi::Value credential = given.optional("credential");
  const auto others = given.list("otherCredentials");
  const Napi::Value resumed = given.optional("resumed");
  if (!given.complete()) return std::nullopt;
  if (!row_key.empty() && row_key.size() != SessionSeal::kKeyBytes) return std::nullopt;
  if (row_prefix.size() >= std::tuple_size_v<RowName>) return std::nullopt;
  if (!credential.IsUndefined()) {
    auto key = credentialOf(credential);
    if (!key) return std::nullopt;
    options.key = std::move(*key);
  }
  for (const Napi::Value& other : others) {
    auto key = credentialOf(other);
    if (!key) return std::nullopt;
    options.other_keys.push_back({std::move(key->first), std::move(key->second)});
  }
  if (!resumed.IsUndefined()) {
    fault = resume(resumed, context, options);
    if (!options.session) return std::nullopt;
  }
  const auto remote = host.empty() && options.session
                          ? Address::fromBytes(options.session->peer.view())
                          : Address::parse(host, port);
  auto local = remote ? localOf(local_host, local_port, *remote) : std::nullopt;
  if (!local) return std::nullopt;
  if (!*local && options.row) {
    // Where the server knows the session to be.
    const auto known = Address::fromBytes(options.session->local.view());
    if (known) local = known;
  }
  options.remote = *remote;
  options.local = *local;
  // Last: only from here on their owner wipes them.
  options.row_key.assign(row_key.begin(), row_key.end());
  options.row_prefix.assign(row_prefix.begin(), row_prefix.end());
  return options;
}

}  // namespace mcbn
