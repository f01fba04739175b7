// own_object.h: the C++ object behind a JavaScript object that the addon made.
//
// Unwrap() takes whatever has been wrapped, of any class of any addon. Ours carry a tag of their
// class (napi_type_tag_object), which is asked for first.
#pragma once

#include <napi.h>

#include <memory>
#include <string>

namespace mcbn {

// `Wrap` has kTag and kName.
template <class Wrap>
void tagOwn(const Napi::CallbackInfo& info) {
  info.This().As<Napi::Object>().TypeTag(&Wrap::kTag);
}

// Null: it is something else, and a JavaScript exception is pending.
template <class Wrap>
Wrap* ownObject(const Napi::Value& value) {
  if (value.IsObject()) {
    const auto object = value.As<Napi::Object>();
    if (object.CheckTypeTag(&Wrap::kTag)) return Wrap::Unwrap(object);
  }
  if (!value.Env().IsExceptionPending()) {
    Napi::TypeError::New(value.Env(),
                         std::string("mcbn addon: expected an object of class ") + Wrap::kName)
        .ThrowAsJavaScriptException();
  }
  return nullptr;
}

// The first half of each tag: of all ours.
inline constexpr uint64_t kOwnTag = 0x8d6f'3b1a'50c7'e294;

}  // namespace mcbn
