#include "binding/figures.h"

namespace mcbn {
namespace {

void set(Napi::Object& object, const char* name, uint64_t value) {
  object.Set(name, static_cast<double>(value));
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
  set(object, "datagramsReceived", stats.datagrams_received);
  set(object, "datagramsSent", stats.datagrams_sent);
  set(object, "bytesReceived", stats.bytes_received);
  set(object, "bytesSent", stats.bytes_sent);
  set(object, "messagesReceived", stats.messages_received);
  set(object, "messagesSent", stats.messages_sent);
  set(object, "retransmits", stats.retransmits);
  set(object, "helloVerifyRequests", stats.hello_verify_requests);
  set(object, "handshakesStarted", stats.handshakes_started);
  set(object, "handshakesCompleted", stats.handshakes_completed);
  set(object, "handshakesFailed", stats.handshakes_failed);
  set(object, "sessions", stats.sessions);
  set(object, "evictions", stats.evictions);
  set(object, "addressChanges", stats.address_changes);
  set(object, "addressChecksFailed", stats.address_checks_failed);
  Napi::Object dropped = Napi::Object::New(env);
  set(dropped, "unknownPeer", stats.dropped_unknown_peer);
  set(dropped, "unknownConnectionId", stats.dropped_unknown_connection_id);
  set(dropped, "unconfirmedAddress", stats.dropped_unconfirmed);
  set(dropped, "badCookie", stats.dropped_bad_cookie);
  set(dropped, "limit", stats.dropped_limit);
  set(dropped, "messages", stats.dropped_messages);
  set(dropped, "sends", stats.dropped_sends);
  for (size_t i = 1; i < kDropReasons; ++i) {
    set(dropped, nameOf(static_cast<DropReason>(i)), stats.dropped_records[i]);
  }
  object.Set("dropped", dropped);
  return object;
}

Napi::Object sessionFigures(Napi::Env env, const SessionStats& stats, uint64_t undelivered) {
  Napi::Object object = Napi::Object::New(env);
  set(object, "datagramsReceived", stats.datagrams_received);
  set(object, "datagramsSent", stats.datagrams_sent);
  set(object, "bytesReceived", stats.bytes_received);
  set(object, "bytesSent", stats.bytes_sent);
  set(object, "messagesReceived", stats.messages_received);
  set(object, "messagesSent", stats.messages_sent);
  set(object, "undelivered", undelivered);
  set(object, "retransmits", stats.retransmits);
  set(object, "recordsDropped", stats.dropped.total());
  Napi::Object reasons = Napi::Object::New(env);
  for (size_t i = 1; i < kDropReasons; ++i) {
    const auto reason = static_cast<DropReason>(i);
    set(reasons, nameOf(reason), stats.dropped.of(reason));
  }
  object.Set("recordsDroppedBy", reasons);
  return object;
}

}  // namespace mcbn
