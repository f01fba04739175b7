// admission_wrap.h: `Admission` of src/native/dtls.ts: the limits that the endpoints of one server
// share.
#pragma once

#include <napi.h>

#include <memory>

#include "binding/own_object.h"
#include "engine/admission.h"

namespace mcbn {

class AdmissionWrap : public Napi::ObjectWrap<AdmissionWrap> {
 public:
  static constexpr napi_type_tag kTag{kOwnTag, 1};
  static constexpr const char* kName = "Admission";
  static Napi::Function define(Napi::Env env);
  explicit AdmissionWrap(const Napi::CallbackInfo& info);
  const std::shared_ptr<Admission>& admission() const { return admission_; }

 private:
  void lookupSettled(const Napi::CallbackInfo& info);

  std::shared_ptr<Admission> admission_;
};

}  // namespace mcbn
