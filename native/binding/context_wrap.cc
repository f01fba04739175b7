#include "binding/context_wrap.h"

#include "binding/convert.h"
#include "binding/dtls13_settings.h"
#include "binding/fields.h"
#include "binding/key_table_wrap.h"

namespace mcbn {

Napi::Function ContextWrap::define(Napi::Env env) {
  return DefineClass(env, "Context", {InstanceAccessor<&ContextWrap::failure>("failure")});
}

ContextWrap::ContextWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  tagOwn<ContextWrap>(info);
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
  const auto alpn = given.list("alpn");
  const Napi::Value table = given.optional("keys");
  const Napi::Value dtls13 = given.optional("dtls13");
  if (!given.complete()) return;
  for (const Napi::Value& name : alpn) options.alpn.push_back(bytesOf(name));
  if (!table.IsUndefined()) {
    const auto* const keys = ownObject<KeyTableWrap>(table);
    if (!keys) return;
    options.psk.table = keys->table();
  }
  if (!dtls13.IsUndefined()) {
    auto made = dtls13Settings(dtls13, options);
    if (auto* failure = std::get_if<Failure>(&made)) {
      failure_ = std::move(*failure);
      return;
    }
    dtls13_ = std::get<0>(std::move(made));
    if (!dtls13_) return;
    options.newer = true;
    // Its names say nothing about DTLS 1.2, which is not spoken.
    if (options.min_version > TLS1_2_VERSION) options.ciphers.clear();
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

std::shared_ptr<const Context> contextOf(const Napi::Value& value, Transport transport,
                                         std::optional<Role> role) {
  const auto* const wrap = ownObject<ContextWrap>(value);
  if (!wrap) return nullptr;
  const auto& context = wrap->context();
  if (context && context->transport() == transport && (!role || context->role() == *role)) {
    return context;
  }
  Napi::TypeError::New(value.Env(), "mcbn addon: expected a Context for this protocol and role")
      .ThrowAsJavaScriptException();
  return nullptr;
}

std::shared_ptr<const dtls13::Settings> dtls13Of(const Napi::Value& value) {
  const auto* const wrap = ownObject<ContextWrap>(value);
  return wrap ? wrap->dtls13() : nullptr;
}

}  // namespace mcbn
