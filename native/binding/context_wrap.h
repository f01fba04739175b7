// context_wrap.h: `Context` of src/native/contract.ts.
#pragma once

#include <napi.h>

#include <memory>
#include <optional>

#include "binding/own_object.h"
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

 private:
  Napi::Value failure(const Napi::CallbackInfo& info);

  std::shared_ptr<const Context> context_;
  Failure failure_;
};

// Of a Context for sessions of this kind; no role: either. Null: it is something else, and a
// JavaScript exception is pending.
std::shared_ptr<const Context> contextOf(const Napi::Value& value, Transport transport,
                                         std::optional<Role> role);

}  // namespace mcbn
