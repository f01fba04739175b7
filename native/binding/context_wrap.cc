#include "binding/context_wrap.h"

#include "binding/convert.h"
#include "binding/fields.h"
#include "binding/key_table_wrap.h"

namespace mcbn {

Napi::Function ContextWrap::define(Napi::Env env) {
  return DefineClass(env, "Context", {InstanceAccessor<&ContextWrap::failure>("failure")});
}

ContextWrap::ContextWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  Fields given(info[0], "context options");
  ContextOptions options;
  options.role = given.flag("server") ? Role::Server : Role::Client;
  options.transport = given.flag("datagram") ? Transport::Dtls : Transport::Tls;
  options.min_version = given.flag("min13") ? TLS1_3_VERSION : TLS1_2_VERSION;
  options.max_version = given.flag("max12") ? TLS1_2_VERSION : TLS1_3_VERSION;
  options.ciphers = given.text("ciphers");
  options.identity_hint = given.text("identityHint");
  options.psk.ask = given.flag("ask");
  options.psk.unknown = given.flag("conceal") ? UnknownIdentity::Conceal : UnknownIdentity::Alert;
  const Napi::Value alpn = given.array("alpn");
  const Napi::Value table = given.optional("keys");
  if (!given.complete()) return;
  const auto names = alpn.As<Napi::Array>();
  for (uint32_t i = 0; i < names.Length(); ++i) options.alpn.push_back(bytesOf(names[i]));
  if (table.IsObject()) {
    options.psk.table = KeyTableWrap::Unwrap(table.As<Napi::Object>())->table();
  }
  auto created = Context::create(std::move(options));
  if (auto* failure = std::get_if<Failure>(&created)) {
    failure_ = std::move(*failure);
  } else {
    context_ = std::get<0>(std::move(created));
  }
}

Napi::Value ContextWrap::failure(const Napi::CallbackInfo& info) {
  if (context_) return info.Env().Undefined();
  return failureObject(info.Env(), failure_);
}

}  // namespace mcbn
