#include "binding/figures.h"

namespace mcbn {
namespace {

template <typename Stats>
struct Figure {
  const char* name;
  uint64_t Stats::*value;
};

// A counter is a field of the engine's and a row here; src/native/figures.ts names it to users.
constexpr Figure<EndpointStats> kEndpoint[] = {
    {"datagramsReceived", &EndpointStats::datagrams_received},
    {"datagramsSent", &EndpointStats::datagrams_sent},
    {"bytesReceived", &EndpointStats::bytes_received},
    {"bytesSent", &EndpointStats::bytes_sent},
    {"messagesReceived", &EndpointStats::messages_received},
    {"messagesSent", &EndpointStats::messages_sent},
    {"retransmits", &EndpointStats::retransmits},
    {"helloVerifyRequests", &EndpointStats::hello_verify_requests},
    {"handshakesStarted", &EndpointStats::handshakes_started},
    {"handshakesCompleted", &EndpointStats::handshakes_completed},
    {"handshakesFailed", &EndpointStats::handshakes_failed},
    {"handshakesDisplaced", &EndpointStats::handshakes_displaced},
    {"sessions", &EndpointStats::sessions},
    {"evictions", &EndpointStats::evictions},
    {"addressChanges", &EndpointStats::address_changes},
    {"addressChecksFailed", &EndpointStats::address_checks_failed},
    {"forwarded", &EndpointStats::forwarded},
    {"receivedForwarded", &EndpointStats::received_forwarded},
    {"answersForwarded", &EndpointStats::answers_forwarded},
    {"answersRelayed", &EndpointStats::answers_relayed},
};

// Besides the reasons of records: see drop_reason.h.
constexpr Figure<EndpointStats> kEndpointDropped[] = {
    {"unknownPeer", &EndpointStats::dropped_unknown_peer},
    {"unknownConnectionId", &EndpointStats::dropped_unknown_connection_id},
    {"unconfirmedAddress", &EndpointStats::dropped_unconfirmed},
    {"badCookie", &EndpointStats::dropped_bad_cookie},
    {"limit", &EndpointStats::dropped_limit},
    {"refusals", &EndpointStats::dropped_refusals},
    {"messages", &EndpointStats::dropped_messages},
    {"sends", &EndpointStats::dropped_sends},
    {"unreservedSends", &EndpointStats::dropped_unreserved_sends},
    {"unknownNode", &EndpointStats::dropped_unknown_node},
    {"forwardForged", &EndpointStats::dropped_forward_forged},
    {"forwardReplayed", &EndpointStats::dropped_forward_replayed},
    {"forwardStale", &EndpointStats::dropped_forward_stale},
    {"forwardMisdirected", &EndpointStats::dropped_forward_misdirected},
    {"forwardLimit", &EndpointStats::dropped_forward_limit},
    {"forwardSends", &EndpointStats::dropped_forward_sends},
};

constexpr Figure<SessionStats> kSession[] = {
    {"datagramsReceived", &SessionStats::datagrams_received},
    {"datagramsSent", &SessionStats::datagrams_sent},
    {"bytesReceived", &SessionStats::bytes_received},
    {"bytesSent", &SessionStats::bytes_sent},
    {"messagesReceived", &SessionStats::messages_received},
    {"messagesSent", &SessionStats::messages_sent},
    {"retransmits", &SessionStats::retransmits},
    {"keyUpdatesSent", &SessionStats::key_updates_sent},
    {"keyUpdatesReceived", &SessionStats::key_updates_received},
};

void set(Napi::Object& object, const char* name, uint64_t value) {
  object.Set(name, static_cast<double>(value));
}

template <typename Stats, size_t kCount>
void setAll(Napi::Object& object, const Figure<Stats> (&figures)[kCount], const Stats& stats) {
  for (const auto& [name, value] : figures) set(object, name, stats.*value);
}

// Calls `tell` with each reason for which records are dropped.
template <typename Tell>
void eachReason(Tell tell) {
  for (size_t i = 1; i < kDropReasons; ++i) tell(static_cast<DropReason>(i));
}

}  // namespace

Napi::Object udpFigures(Napi::Env env, const UdpFigures& udp) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("segmentation", udp.socket.offloads.segmentation);
  object.Set("coalescing", udp.socket.offloads.coalescing);
  object.Set("recvBufferSize", udp.socket.recv_buffer_size);
  object.Set("sendBufferSize", udp.socket.send_buffer_size);
  set(object, "bytesWaiting", udp.bytes_waiting);
  return object;
}

Napi::Object endpointFigures(Napi::Env env, const EndpointStats& stats) {
  Napi::Object object = Napi::Object::New(env);
  setAll(object, kEndpoint, stats);
  Napi::Object dropped = Napi::Object::New(env);
  setAll(dropped, kEndpointDropped, stats);
  eachReason([&](DropReason reason) {
    set(dropped, nameOf(reason), stats.dropped_records[static_cast<size_t>(reason)]);
  });
  object.Set("dropped", dropped);
  return object;
}

Napi::Object sessionFigures(Napi::Env env, const SessionStats& stats, uint64_t undelivered) {
  Napi::Object object = Napi::Object::New(env);
  setAll(object, kSession, stats);
  set(object, "undelivered", undelivered);
  set(object, "recordsDropped", stats.dropped.total());
  Napi::Object reasons = Napi::Object::New(env);
  eachReason([&](DropReason reason) { set(reasons, nameOf(reason), stats.dropped.of(reason)); });
  object.Set("recordsDroppedBy", reasons);
  return object;
}

}  // namespace mcbn
