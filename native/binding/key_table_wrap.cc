#include "binding/key_table_wrap.h"

#include "binding/convert.h"
#include "binding/key_fields.h"

namespace mcbn {

Napi::Function KeyTableWrap::define(Napi::Env env) {
  return DefineClass(
      env, "KeyTable",
      {InstanceMethod<&KeyTableWrap::set>("set"), InstanceMethod<&KeyTableWrap::erase>("delete"),
       InstanceMethod<&KeyTableWrap::revoke>("revoke"),
       InstanceAccessor<&KeyTableWrap::size>("size")});
}

KeyTableWrap::KeyTableWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  tagOwn<KeyTableWrap>(info);
}

void KeyTableWrap::set(const Napi::CallbackInfo& info) {
  auto entry = entryOf(info[1], info[2], info[3]);
  if (entry) table_->set(bytesOf(info[0]), std::move(*entry));
}

Napi::Value KeyTableWrap::erase(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), table_->erase(bytesOf(info[0])));
}

void KeyTableWrap::revoke(const Napi::CallbackInfo& info) { table_->revoke(bytesOf(info[0])); }

Napi::Value KeyTableWrap::size(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(table_->size()));
}

}  // namespace mcbn
