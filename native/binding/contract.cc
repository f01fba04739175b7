#include "binding/contract.h"

#include "binding/figures.h"
#include "engine/event.h"
#include "engine/server_endpoint.h"
#include "psk/psk.h"
#include "record/connection_id.h"
#include "record/message_room.h"
#include "record/replay_window.h"
#include "session/tls_session.h"

namespace mcbn {
namespace {

// No default: the compiler names an event that is missing here.
const char* nameOf(EventKind kind) {
  switch (kind) {
    case EventKind::Message:
      return "message";
    case EventKind::Opened:
      return "opened";
    case EventKind::Question:
      return "question";
    case EventKind::Ended:
      return "ended";
    case EventKind::Refused:
      return "refused";
    case EventKind::Keylog:
      return "keylog";
    case EventKind::Progress:
      return "progress";
    case EventKind::SocketError:
      return "socketError";
    case EventKind::AddressChanged:
      return "addressChanged";
    case EventKind::Row:
      return "row";
  }
  return nullptr;
}

const char* nameOf(TlsSession::Ready bit) {
  switch (bit) {
    case TlsSession::kNothing:
      break;
    case TlsSession::kCiphertext:
      return "ciphertext";
    case TlsSession::kPlaintext:
      return "plaintext";
    case TlsSession::kOpened:
      return "opened";
    case TlsSession::kQuestion:
      return "question";
    case TlsSession::kClosed:
      return "closed";
    case TlsSession::kFailed:
      return "failed";
    case TlsSession::kKeylog:
      return "keylog";
    case TlsSession::kMore:
      return "more";
  }
  return nullptr;
}

Napi::Object range(Napi::Env env, size_t min, size_t max) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("min", static_cast<double>(min));
  object.Set("max", static_cast<double>(max));
  return object;
}

Napi::Object events(Napi::Env env) {
  Napi::Object object = Napi::Object::New(env);
  for (uint32_t i = 1; const char* const name = nameOf(static_cast<EventKind>(i)); ++i) {
    object.Set(name, i);
  }
  return object;
}

Napi::Object readyBits(Napi::Env env) {
  Napi::Object object = Napi::Object::New(env);
  for (uint32_t bit = 1; bit < TlsSession::kReadyRange; bit <<= 1) {
    if (const char* const name = nameOf(static_cast<TlsSession::Ready>(bit))) object.Set(name, bit);
  }
  return object;
}

Napi::Object frameRoom(Napi::Env env) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("before", static_cast<double>(kRoomBefore));
  object.Set("behind", static_cast<double>(kRoomBehind));
  return object;
}

// Those of src/dtls/types.ts that native tests rely on as well.
Napi::Object defaults(Napi::Env env) {
  const DtlsOptions dtls;
  const AdmissionLimits limits;
  const ServerOptions server;
  Napi::Object object = Napi::Object::New(env);
  const auto set = [&](const char* name, auto value) {
    object.Set(name, static_cast<double>(value));
  };
  set("mtu", dtls.mtu);
  set("handshakeTimeout", dtls.handshake_timeout);
  set("replayWindow", dtls.replay_window);
  set("idleTimeout", server.idle_timeout);
  set("ioThreads", server.threads);
  set("maxSessions", limits.max_sessions);
  set("maxHandshakes", limits.max_handshakes);
  set("maxSessionsPerHost", limits.max_sessions_per_host);
  return object;
}

Napi::Object bounds(Napi::Env env) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("identity", range(env, 1, kMaxIdentityLength));
  object.Set("key", range(env, kMinKeyLength, kMaxKeyLength));
  object.Set("replayWindow", range(env, ReplayWindow::kSmallest, ReplayWindow::kLargest));
  object.Set("connectionId", range(env, 0, kMaxOwnConnectionIdBytes));
  return object;
}

Napi::Object figures(Napi::Env env) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("endpoint", endpointFigures(env, {}));
  object.Set("session", sessionFigures(env, {}, 0));
  object.Set("udp", udpFigures(env, {}));
  return object;
}

}  // namespace

Napi::Object contractObject(Napi::Env env) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("events", events(env));
  constexpr auto kRowLength = static_cast<uint32_t>(sizeof(EventRow) / sizeof(uint32_t));
  object.Set("eventRowLength", kRowLength);
  object.Set("noDetail", static_cast<double>(kNoDetail));
  object.Set("ready", readyBits(env));
  object.Set("readyRange", static_cast<double>(TlsSession::kReadyRange));
  object.Set("frame", frameRoom(env));
  object.Set("defaults", defaults(env));
  object.Set("bounds", bounds(env));
  object.Set("figures", figures(env));
  return object;
}

}  // namespace mcbn
