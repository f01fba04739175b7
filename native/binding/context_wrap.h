// context_wrap.h: `Context` of src/native/contract.ts.
#pragma once

#include <napi.h>

#include <memory>
#include <optional>

#include "binding/own_object.h"
#include "dtls13/settings.h"
#include "session/context.h"

namespace mcbn {

class ContextWrap : public Napi::ObjectWrap<ContextWrap> {
 public:
  static constexpr napi_type_tag kTag{kOwnTag, 2};
  static constexpr const char* kName = "Context";
  static Napi::Function define(Napi::Env env);
  explicit ContextWrap(const Napi::CallbackInfo& info);
  // Null when the options were refused: `failure` of the JavaScript object says why.
  const std::shared_ptr<const Context>& context() const { return context_; }
  // Null: no DTLS 1.3.
  const std::shared_ptr<const dtls13::Settings>& dtls13() const { return dtls13_; }

 private:
  Napi::Value failure(const Napi::CallbackInfo& info);

  std::shared_ptr<const Context> context_;
  std::shared_ptr<const dtls13::Settings> dtls13_;
  Failure failure_;
};

// Of a Context for sessions of this kind; no role: either. Null: it is something else, and a
// JavaScript exception is pending.
std::shared_ptr<const Context> contextOf(const Napi::Value& value, Transport transport,
                                         std::optional<Role> role);

// What the same Context says of DTLS 1.3; null: nothing.
std::shared_ptr<const dtls13::Settings> dtls13Of(const Napi::Value& value);

}  // namespace mcbn
