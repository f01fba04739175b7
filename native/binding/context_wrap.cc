#include "binding/context_wrap.h"

#include "binding/convert.h"
#include "binding/key_table_wrap.h"

namespace mcbn {

Napi::Function ContextWrap::define(Napi::Env env) {
  return DefineClass(env, "Context", {InstanceAccessor<&ContextWrap::failure>("failure")});
}

ContextWrap::ContextWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const Napi::Object given = info[0].As<Napi::Object>();
  ContextOptions options;
  options.role = boolOption(given, "server") ? Role::Server : Role::Client;
  options.transport = boolOption(given, "datagram") ? Transport::Dtls : Transport::Tls;
  options.min_version = boolOption(given, "min13") ? TLS1_3_VERSION : TLS1_2_VERSION;
  options.max_version = boolOption(given, "max12") ? TLS1_2_VERSION : TLS1_3_VERSION;
  options.ciphers = stringOption(given, "ciphers");
  options.identity_hint = stringOption(given, "identityHint");
  options.psk.ask = boolOption(given, "ask");
  options.psk.unknown =
      boolOption(given, "conceal") ? UnknownIdentity::Conceal : UnknownIdentity::Alert;
  if (const Napi::Value alpn = given.Get("alpn"); alpn.IsArray()) {
    const auto names = alpn.As<Napi::Array>();
    for (uint32_t i = 0; i < names.Length(); ++i) options.alpn.push_back(bytesOf(names[i]));
  }
  if (const Napi::Value table = given.Get("keys"); table.IsObject()) {
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
