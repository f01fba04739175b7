// fleet_wrap.h: `Fleet` of src/native/dtls.ts: what the endpoints of one server know of the other nodes.
#pragma once

#include <napi.h>

#include <memory>

#include "binding/own_object.h"
#include "engine/fleet_directory.h"

namespace mcbn {

class FleetWrap : public Napi::ObjectWrap<FleetWrap> {
 public:
  static constexpr napi_type_tag kTag{kOwnTag, 4};
  static constexpr const char* kName = "Fleet";
  static Napi::Function define(Napi::Env env);
  explicit FleetWrap(const Napi::CallbackInfo& info);
  const std::shared_ptr<FleetDirectory>& directory() const { return directory_; }

 private:
  Napi::Value setMembers(const Napi::CallbackInfo& info);
  Napi::Value takeOver(const Napi::CallbackInfo& info);
  Napi::Value nodes(const Napi::CallbackInfo& info);
  Napi::Value address(const Napi::CallbackInfo& info);

  std::shared_ptr<FleetDirectory> directory_;
};

}  // namespace mcbn
