// context_wrap.h: `Context` of src/native/contract.ts.
#pragma once

#include <napi.h>

#include <memory>

#include "session/context.h"

namespace mcbn {

class ContextWrap : public Napi::ObjectWrap<ContextWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit ContextWrap(const Napi::CallbackInfo& info);
  // Null when the options were refused: `failure` of the JavaScript object says why.
  const std::shared_ptr<const Context>& context() const { return context_; }

 private:
  Napi::Value failure(const Napi::CallbackInfo& info);

  std::shared_ptr<const Context> context_;
  Failure failure_;
};

}  // namespace mcbn
