#include "binding/fields.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "binding/convert.h"

namespace mcbn {

Fields::Fields(const Napi::Value& given, const char* what) : env_(given.Env()), what_(what) {
  if (given.IsObject()) {
    object_ = given.As<Napi::Object>();
  } else {
    object_ = Napi::Object::New(env_);
    refuse("expected an object");
  }
}

bool Fields::flag(const char* name) {
  const Napi::Value value = required(name);
  if (value.IsBoolean()) return value.As<Napi::Boolean>().Value();
  refuse(std::string(name) + ": expected a boolean");
  return false;
}

int32_t Fields::integer(const char* name, int32_t min, int32_t max) {
  const Napi::Value value = required(name);
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (number >= min && number <= max && number == std::trunc(number)) {
    return static_cast<int32_t>(number);
  }
  refuse(std::string(name) + ": expected an integer from " + std::to_string(min) + " to " +
         std::to_string(max));
  return 0;
}

std::string Fields::text(const char* name) {
  const Napi::Value value = required(name);
  if (value.IsString()) return value.As<Napi::String>().Utf8Value();
  refuse(std::string(name) + ": expected a string");
  return {};
}

void Fields::bytes(const char* name, std::span<const uint8_t>& into) {
  const Napi::Value value = required(name);
  if (isBytes(value)) {
    views_.emplace_back(value, &into);
  } else {
    refuse(std::string(name) + ": expected a Uint8Array");
  }
}

std::vector<Napi::Value> Fields::list(const char* name) {
  auto elements = elementsOf(required(name));
  if (!elements) refuse(std::string(name) + ": expected an array");
  return elements ? std::move(*elements) : std::vector<Napi::Value>();
}

Napi::Value Fields::object(const char* name) {
  const Napi::Value value = required(name);
  if (!value.IsObject()) refuse(std::string(name) + ": expected an object");
  return value;
}

Napi::Value Fields::optional(const char* name) {
  if (!object_.Has(name)) return env_.Undefined();
  return required(name);
}

bool Fields::complete() {
  if (wrong_.empty()) {
    const Napi::Array names = object_.GetPropertyNames();
    // An accessor, or a proxy, has thrown.
    if (env_.IsExceptionPending()) return false;
    if (names.Length() == read_.size()) {
      for (const auto& [value, into] : views_) *into = viewOf(value);
      return true;
    }
    refuse(strangerAmong(names) + ": unknown field");
  }
  if (!env_.IsExceptionPending()) {
    Napi::TypeError::New(env_, std::string("mcbn addon: ") + what_ + ": " + wrong_)
        .ThrowAsJavaScriptException();
  }
  return false;
}

Napi::Value Fields::required(const char* name) {
  read_.push_back(name);
  return object_.Get(name);
}

void Fields::refuse(const std::string& why) {
  if (wrong_.empty()) wrong_ = why;
}

std::string Fields::strangerAmong(const Napi::Array& names) const {
  for (uint32_t i = 0; i < names.Length(); ++i) {
    std::string name = names.Get(i).ToString().Utf8Value();
    const auto same = [&](const char* known) { return std::string_view(known) == name; };
    if (std::none_of(read_.begin(), read_.end(), same)) return name;
  }
  return "?";
}

}  // namespace mcbn
