// tls_session_wrap.h: `TlsSession` of src/native/tls.ts.
//
// Steps return one number: the Ready bits, and above them the bytes written to the caller's buffer.
// Nothing here calls JavaScript; what a step left is taken by the take...() methods.
#pragma once

#include <napi.h>

#include <memory>

#include "session/tls_session.h"

namespace mcbn {

class TlsSessionWrap : public Napi::ObjectWrap<TlsSessionWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit TlsSessionWrap(const Napi::CallbackInfo& info);

 private:
  Napi::Value useKey(const Napi::CallbackInfo& info);
  Napi::Value start(const Napi::CallbackInfo& info);
  Napi::Value receive(const Napi::CallbackInfo& info);
  Napi::Value write(const Napi::CallbackInfo& info);
  Napi::Value shutdown(const Napi::CallbackInfo& info);
  Napi::Value answer(const Napi::CallbackInfo& info);
  Napi::Value takeCiphertext(const Napi::CallbackInfo& info);
  Napi::Value takeQuestion(const Napi::CallbackInfo& info);
  Napi::Value takeOpened(const Napi::CallbackInfo& info);
  Napi::Value takeFailure(const Napi::CallbackInfo& info);
  Napi::Value takeKeylog(const Napi::CallbackInfo& info);
  Napi::Value exportKeyingMaterial(const Napi::CallbackInfo& info);
  void destroy(const Napi::CallbackInfo& info);

  std::unique_ptr<TlsSession> session_;  // null once destroyed
};

}  // namespace mcbn
