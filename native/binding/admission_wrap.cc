#include "binding/admission_wrap.h"

#include "binding/convert.h"

namespace mcbn {

Napi::Function AdmissionWrap::define(Napi::Env env) { return DefineClass(env, "Admission", {}); }

AdmissionWrap::AdmissionWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const Napi::Object given = info[0].As<Napi::Object>();
  const auto count = [&](const char* name) {
    return static_cast<size_t>(intOption(given, name, 0));
  };
  admission_ = std::make_shared<Admission>(AdmissionLimits{
      .max_sessions = count("maxSessions"),
      .max_handshakes = count("maxHandshakes"),
      .max_sessions_per_host = count("maxSessionsPerHost"),
      .evict_after = static_cast<Milliseconds>(intOption(given, "evictAfter", 0)),
  });
}

}  // namespace mcbn
