// key_table_wrap.h: `KeyTable` of src/native/contract.ts.
#pragma once

#include <napi.h>

#include <memory>

#include "binding/own_object.h"
#include "psk/key_table.h"

namespace mcbn {

class KeyTableWrap : public Napi::ObjectWrap<KeyTableWrap> {
 public:
  static constexpr napi_type_tag kTag{kOwnTag, 3};
  static constexpr const char* kName = "KeyTable";
  static Napi::Function define(Napi::Env env);
  explicit KeyTableWrap(const Napi::CallbackInfo& info);
  const std::shared_ptr<KeyTable>& table() const { return table_; }

 private:
  void set(const Napi::CallbackInfo& info);
  Napi::Value erase(const Napi::CallbackInfo& info);
  void revoke(const Napi::CallbackInfo& info);
  Napi::Value size(const Napi::CallbackInfo& info);

  std::shared_ptr<KeyTable> table_ = std::make_shared<KeyTable>();
};

}  // namespace mcbn
