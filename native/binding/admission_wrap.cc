#include "binding/admission_wrap.h"

#include "binding/fields.h"

namespace mcbn {

Napi::Function AdmissionWrap::define(Napi::Env env) {
  return DefineClass(env, "Admission",
                     {InstanceMethod<&AdmissionWrap::lookupSettled>("lookupSettled")});
}

AdmissionWrap::AdmissionWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  Fields given(info[0], "limits");
  const auto count = [&](const char* name) { return static_cast<size_t>(given.integer(name)); };
  const AdmissionLimits limits{
      .max_sessions = count("maxSessions"),
      .max_handshakes = count("maxHandshakes"),
      .max_sessions_per_host = count("maxSessionsPerHost"),
      .evict_after = static_cast<Milliseconds>(given.integer("evictAfter")),
  };
  if (given.complete()) admission_ = std::make_shared<Admission>(limits);
}

void AdmissionWrap::lookupSettled(const Napi::CallbackInfo& info) {
  admission_->lookupSettled(info[0].As<Napi::Number>().Uint32Value());
}

}  // namespace mcbn
