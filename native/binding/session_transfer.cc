// Sealed sessions in and out of an I/O thread: exportSession, exportSessions and importSessions of
// `IoThread` in src/native/dtls.ts.
#include "binding/convert.h"
#include "binding/io_thread_wrap.h"
#include "engine/server_endpoint.h"

namespace mcbn {
namespace {

// nullopt: it is no key for a SessionSeal, and a JavaScript exception is pending.
std::optional<ByteView> sealingKeyOf(const Napi::Value& value) {
  const ByteView key = viewOf(value);
  if (key.size() == SessionSeal::kKeyBytes) return key;
  Napi::TypeError::New(value.Env(), "mcbn addon: expected a sealing key of 32 bytes")
      .ThrowAsJavaScriptException();
  return std::nullopt;
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

Napi::Value nameValue(Napi::Env env, const RowName& name) {
  napi_value value = nullptr;
  napi_create_string_latin1(env, reinterpret_cast<const char*>(name.data()), name.size(), &value);
  return {env, value};
}

// Null: it is no name of a row.
std::unique_ptr<RowName> nameOf(const Napi::Value& value) {
  size_t length = 0;
  std::array<char, std::tuple_size_v<RowName> + 2> text;
  if (napi_get_value_string_latin1(value.Env(), value, text.data(), text.size(), &length) !=
          napi_ok ||
      length != std::tuple_size_v<RowName>) {
    return nullptr;
  }
  auto name = std::make_unique<RowName>();
  std::copy_n(text.begin(), name->size(), name->begin());
  return name;
}

}  // namespace

// (endpoint, session, sealingKey): Buffer, or null where the session cannot go on elsewhere.
Napi::Value IoThreadWrap::exportSession(const Napi::CallbackInfo& info) {
  const auto key = sealingKeyOf(info[2]);
  if (!key) return {};
  Bytes sealed;
  bool exported = false;
  SessionSeal seal(*key);
  io().call([&, id = numberOf(info[0]), session = numberOf(info[1])](IoThread& self) {
    Endpoint* const endpoint = self.endpoint(id);
    if (!endpoint) return;
    self.sendEverything(*endpoint);
    exported = endpoint->exportSession(session, seal, self.now(), sealed);
    self.touched(*endpoint);
  });
  return exported ? bufferOf(info.Env(), ByteView(sealed)) : info.Env().Null();
}

// (endpoint, sealingKey, most, NativeLeaving): [session, Buffer, name, session, ...]; empty: none is left.
// The name is that of its row, or undefined.
Napi::Value IoThreadWrap::exportSessions(const Napi::CallbackInfo& info) {
  struct Exported {
    uint32_t session;
    Bytes sealed;
    std::optional<RowName> row;
  };
  const auto key = sealingKeyOf(info[1]);
  if (!key) return {};
  std::vector<Exported> all;
  const auto all_of_them = isSecondOf(info[3], "heard", "all");
  if (!all_of_them) return {};
  SessionSeal seal(*key);
  io().call([&, id = numberOf(info[0]), most = numberOf(info[2])](IoThread& self) {
    ServerEndpoint* const endpoint = self.server(id);
    if (!endpoint) return;
    self.sendEverything(*endpoint);
    std::unordered_set<uint32_t> except;
    if (!*all_of_them) except = self.events().unheard(id);
    for (const uint32_t session : endpoint->portableSessions(most, except)) {
      Exported one{session, {}, {}};
      if (const auto& row = endpoint->find(session)->row) one.row = *row;
      if (endpoint->exportSession(session, seal, self.now(), one.sealed)) {
        all.push_back(std::move(one));
      }
    }
    self.touched(*endpoint);
  });
  Napi::Array array = Napi::Array::New(info.Env(), 3 * all.size());
  for (uint32_t i = 0; i < all.size(); ++i) {
    array[3 * i] = Napi::Number::New(info.Env(), all[i].session);
    array[3 * i + 1] = bufferOf(info.Env(), ByteView(all[i].sealed));
    if (all[i].row) array[3 * i + 2] = nameValue(info.Env(), *all[i].row);
  }
  return array;
}

// (endpoint, most): [session, name, Buffer, session, ...], the rows with which the next process goes
// on; empty: none is left.
Napi::Value IoThreadWrap::takeRows(const Napi::CallbackInfo& info) {
  std::vector<std::pair<uint32_t, RowEvent>> all;
  io().call([&, id = numberOf(info[0]), most = numberOf(info[1])](IoThread& self) {
    ServerEndpoint* const endpoint = self.server(id);
    if (!endpoint) return;
    self.sendEverything(*endpoint);
    for (const uint32_t session : endpoint->portableSessions(most)) {
      if (auto row = endpoint->takeRow(session, self.now())) {
        all.emplace_back(session, std::move(*row));
      }
    }
    self.touched(*endpoint);
  });
  Napi::Array array = Napi::Array::New(info.Env(), 3 * all.size());
  for (uint32_t i = 0; i < all.size(); ++i) {
    array[3 * i] = Napi::Number::New(info.Env(), all[i].first);
    array[3 * i + 1] = nameValue(info.Env(), all[i].second.name);
    array[3 * i + 2] = bufferOf(info.Env(), ByteView(all[i].second.sealed));
  }
  return array;
}

// (endpoint, Uint32Array of sessions)
void IoThreadWrap::rowsWritten(const Napi::CallbackInfo& info) {
  std::vector<uint32_t> sessions;
  if (info[1].IsTypedArray() &&
      info[1].As<Napi::TypedArray>().TypedArrayType() == napi_uint32_array) {
    const auto given = info[1].As<Napi::Uint32Array>();
    sessions.assign(given.Data(), given.Data() + given.ElementLength());
  }
  io().post([id = numberOf(info[0]), sessions = std::move(sessions)](IoThread& self) {
    Endpoint* const endpoint = self.endpoint(id);
    if (!endpoint) return;
    endpoint->rowsWritten(sessions, self.now());
    self.touched(*endpoint);
  });
}

// (endpoint, sealingKey, sealed[], NativeKeyValidity, names[]?): [verdictValue(), NativeOpenedSession or
// undefined, verdictValue(), ...]. With names they are rows of a session store.
Napi::Value IoThreadWrap::importSessions(const Napi::CallbackInfo& info) {
  const auto given = elementsOf(info[2]);
  const auto names = elementsOf(info[4]);
  if (info.Env().IsExceptionPending()) return {};
  std::vector<ByteView> sealed(given ? given->size() : 0);
  std::vector<std::unique_ptr<RowName>> rows(sealed.size());
  for (size_t i = 0; i < sealed.size(); ++i) {
    sealed[i] = viewOf((*given)[i]);
    if (!names) continue;
    if (i < names->size()) rows[i] = nameOf((*names)[i]);
    if (!rows[i]) sealed[i] = {};
  }
  std::vector<ImportVerdict> verdicts;
  verdicts.reserve(sealed.size());
  const auto key = sealingKeyOf(info[1]);
  if (!key) return {};
  SessionSeal seal(*key);
  const auto vouched = isSecondOf(info[3], "by-table", "vouched");
  if (!vouched) return info.Env().Undefined();
  using Validity = ServerEndpoint::KeyValidity;
  const Validity validity = *vouched ? Validity::Vouched : Validity::ByTable;
  io().call([&, id = numberOf(info[0])](IoThread& self) {
    ServerEndpoint* const endpoint = self.server(id);
    if (!endpoint) return;
    for (size_t i = 0; i < sealed.size(); ++i) {
      verdicts.push_back(
          endpoint->importSession(seal, sealed[i], validity, self.now(), rows[i].get()));
    }
    self.touched(*endpoint);
  });
  verdicts.resize(sealed.size(), {.fault = ImportFault::Elsewhere});
  Napi::Array array = Napi::Array::New(info.Env(), 2 * verdicts.size());
  for (uint32_t i = 0; i < verdicts.size(); ++i) {
    const ImportVerdict& verdict = verdicts[i];
    array[2 * i] = verdictValue(info.Env(), verdict);
    if (!verdict.opened) continue;
    array[2 * i + 1] = bridge_->details.openedValue(info.Env(), *verdict.opened);
  }
  return array;
}

}  // namespace mcbn
