#include "binding/admission_wrap.h"

#include "binding/convert.h"
#include "binding/fields.h"
#include "binding/own_object.h"

namespace mcbn {

Napi::Function AdmissionWrap::define(Napi::Env env) {
  return DefineClass(env, "Admission",
                     {InstanceMethod<&AdmissionWrap::lookupSettled>("lookupSettled")});
}

AdmissionWrap::AdmissionWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  tagOwn<AdmissionWrap>(info);
  Fields given(info[0], "limits");
  const auto count = [&](const char* name) { return static_cast<size_t>(given.integer(name, 0)); };
  const AdmissionLimits limits{
      .max_sessions = count("maxSessions"),
      .max_handshakes = count("maxHandshakes"),
      .max_sessions_per_host = count("maxSessionsPerHost"),
      .evict_after = static_cast<Milliseconds>(given.integer("evictAfter", 0)),
  };
  if (given.complete()) admission_ = std::make_shared<Admission>(limits);
}

void AdmissionWrap::lookupSettled(const Napi::CallbackInfo& info) {
  admission_->lookupSettled(numberOf(info[0]));
}

}  // namespace mcbn
