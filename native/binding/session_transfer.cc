// Sealed sessions in and out of an I/O thread: exportSession, exportSessions and importSessions of
// `IoThread` in src/native/dtls.ts.
#include "binding/convert.h"
#include "binding/io_thread_wrap.h"
#include "engine/server_endpoint.h"

namespace mcbn {
namespace {

uint32_t numberOf(const Napi::Value& value) {
  return value.IsNumber() ? value.As<Napi::Number>().Uint32Value() : 0;
}

// The session's number, why it was refused (in one word), or whom to ask first.
Napi::Value verdictValue(Napi::Env env, const ImportVerdict& verdict) {
  switch (verdict.fault) {
    case ImportFault::None:
      return Napi::Number::New(env, verdict.session);
    case ImportFault::Sealed:
      return Napi::String::New(env, nameOf(verdict.seal));
    case ImportFault::Elsewhere:
      return Napi::String::New(env, "elsewhere");
    case ImportFault::Limit:
      return Napi::String::New(env, "limit");
    case ImportFault::UnknownIdentity:
      return Napi::String::New(env, "unknownIdentity");
    case ImportFault::Ask:
      break;
  }
  Napi::Object question = questionObject(env, verdict.question);
  question.Set("remoteAddress", verdict.peer.host());
  question.Set("remotePort", verdict.peer.port());
  return question;
}

}  // namespace

// (endpoint, session, sealingKey): Buffer, or null where the session cannot go on elsewhere.
Napi::Value IoThreadWrap::exportSession(const Napi::CallbackInfo& info) {
  Bytes sealed;
  bool exported = false;
  SessionSeal seal(viewOf(info[2]));
  io().call([&, id = numberOf(info[0]), session = numberOf(info[1])](IoThread& self) {
    Endpoint* const endpoint = self.endpoint(id);
    if (!endpoint) return;
    self.sendEverything(*endpoint);
    exported = endpoint->exportSession(session, seal, self.now(), sealed);
    self.touched(*endpoint);
  });
  return exported ? bufferOf(info.Env(), ByteView(sealed)) : info.Env().Null();
}

// (endpoint, sealingKey, most): [session, Buffer, session, Buffer, ...]; empty: none is left.
Napi::Value IoThreadWrap::exportSessions(const Napi::CallbackInfo& info) {
  struct Exported {
    uint32_t session;
    Bytes sealed;
  };
  std::vector<Exported> all;
  SessionSeal seal(viewOf(info[1]));
  io().call([&, id = numberOf(info[0]), most = numberOf(info[2])](IoThread& self) {
    auto* const endpoint = static_cast<ServerEndpoint*>(self.endpoint(id));
    if (!endpoint) return;
    self.sendEverything(*endpoint);
    for (const uint32_t session : endpoint->portableSessions(most)) {
      Exported one{session, {}};
      if (endpoint->exportSession(session, seal, self.now(), one.sealed)) {
        all.push_back(std::move(one));
      }
    }
    self.touched(*endpoint);
  });
  Napi::Array array = Napi::Array::New(info.Env(), 2 * all.size());
  for (uint32_t i = 0; i < all.size(); ++i) {
    array[2 * i] = Napi::Number::New(info.Env(), all[i].session);
    array[2 * i + 1] = bufferOf(info.Env(), ByteView(all[i].sealed));
  }
  return array;
}

// (endpoint, sealingKey, sealed[], vouched): a verdictValue() for each.
Napi::Value IoThreadWrap::importSessions(const Napi::CallbackInfo& info) {
  const auto given = info[2].As<Napi::Array>();
  std::vector<ByteView> sealed(given.Length());
  for (uint32_t i = 0; i < sealed.size(); ++i) {
    const Napi::Value one = given[i];
    sealed[i] = viewOf(one);
  }
  std::vector<ImportVerdict> verdicts;
  verdicts.reserve(sealed.size());
  SessionSeal seal(viewOf(info[1]));
  const bool vouched = info[3].As<Napi::Boolean>().Value();
  io().call([&, id = numberOf(info[0])](IoThread& self) {
    auto* const endpoint = static_cast<ServerEndpoint*>(self.endpoint(id));
    if (!endpoint) return;
    for (const ByteView one : sealed) {
      verdicts.push_back(endpoint->importSession(seal, one, vouched, self.now()));
    }
    self.touched(*endpoint);
  });
  verdicts.resize(sealed.size(), {.fault = ImportFault::Elsewhere});
  Napi::Array array = Napi::Array::New(info.Env(), verdicts.size());
  for (uint32_t i = 0; i < verdicts.size(); ++i) array[i] = verdictValue(info.Env(), verdicts[i]);
  return array;
}

}  // namespace mcbn
