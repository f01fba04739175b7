#include "binding/event_detail.h"

#include <utility>

#include "binding/convert.h"

namespace mcbn {
namespace {

void setRemote(Napi::Object& object, const std::string& host, uint16_t port) {
  object.Set("remoteAddress", host);
  object.Set("remotePort", port);
}

// Texts that may hold anything, one behind the other without doubt.
void append(std::string& key, std::string_view text) {
  key += std::to_string(text.size());
  key += ':';
  key += text;
}

Napi::Value latin1(Napi::Env env, const std::string& bytes) {
  napi_value value = nullptr;
  napi_create_string_latin1(env, bytes.data(), bytes.size(), &value);
  return {env, value};
}

}  // namespace

Napi::Object systemErrorObject(Napi::Env env, const SystemError& error) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("code", error.name());
  object.Set("syscall", error.call);
  object.Set("errno", -error.code);
  return object;
}

Napi::Value EventDetails::valueOf(Napi::Env env, const EventDetail& detail) {
  if (const auto* event = std::get_if<OpenedEvent>(&detail)) return openedValue(env, *event);
  if (const auto* event = std::get_if<QuestionEvent>(&detail)) {
    Napi::Object object = questionObject(env, event->question);
    setRemote(object, event->remote_host, event->remote_port);
    object.Set("lookup", event->lookup);
    return object;
  }
  if (const auto* event = std::get_if<EndedEvent>(&detail)) {
    Napi::Object object = Napi::Object::New(env);
    if (event->failure) object.Set("failure", failureObject(env, *event->failure));
    setRemote(object, event->remote_host, event->remote_port);
    return object;
  }
  if (const auto* event = std::get_if<AddressEvent>(&detail)) {
    Napi::Object object = Napi::Object::New(env);
    setRemote(object, event->remote_host, event->remote_port);
    return object;
  }
  if (const auto* row = std::get_if<RowEvent>(&detail)) {
    Napi::Array value = Napi::Array::New(env, 2);
    value[0U] = latin1(env, std::string(row->name.begin(), row->name.end()));
    value[1U] = bufferOf(env, ByteView(row->sealed));
    return value;
  }
  if (const auto* line = std::get_if<std::string>(&detail)) return bufferOf(env, *line + "\n");
  if (const auto* error = std::get_if<SystemError>(&detail)) return systemErrorObject(env, *error);
  return env.Undefined();
}

// An array: a handshake's share of JavaScript's thread is mostly the making of such values.
Napi::Value EventDetails::openedValue(Napi::Env env, const OpenedEvent& event) {
  const bool with_id = !event.own_connection_id.empty() || !event.peer_connection_id.empty();
  Napi::Array value = Napi::Array::New(env, with_id ? 5 : 4);
  value[0U] = termsOf(env, event);
  value[1U] = latin1(env, event.opened.identity);
  value[2U] = latin1(env, event.remote_host);
  value[3U] = Napi::Number::New(env, event.remote_port);
  if (!with_id) return value;
  Napi::Array id = Napi::Array::New(env, 3);
  id[0U] = latin1(env, event.own_connection_id);
  id[1U] = latin1(env, event.peer_connection_id);
  id[2U] = Napi::Boolean::New(env, event.return_routability);
  value[4U] = id;
  return value;
}

Napi::Value EventDetails::termsOf(Napi::Env env, const OpenedEvent& event) {
  const Opened& opened = event.opened;
  std::string key;
  append(key, opened.cipher);  // says the protocol as well
  append(key, opened.alpn);
  append(key, opened.servername);
  append(key, std::to_string(event.max_message));
  if (const auto found = terms_.find(key); found != terms_.end()) return found->second.Value();
  Napi::Object object = Napi::Object::New(env);
  object.Set("protocol", protocolName(opened.protocol));
  object.Set("cipher", std::string(opened.cipher));
  object.Set("standardCipher", std::string(opened.standard_cipher));
  object.Set("alpn", opened.alpn);
  object.Set("servername", opened.servername);
  object.Set("maxMessage", static_cast<double>(event.max_message));
  if (terms_.size() < kMostTerms) terms_.emplace(std::move(key), Napi::Persistent(object));
  return object;
}

}  // namespace mcbn
