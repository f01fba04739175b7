// fields.h: reads an object that src/native made; every field is known here.
//
// A field that is missing, of the wrong type, or known to one side only is a defect of ours. It is
// reported at once, by the first call that has it, instead of becoming a silent default.
#pragma once

#include <napi.h>

#include <span>
#include <string>
#include <vector>

namespace mcbn {

class Fields {
 public:
  // `what` names the object in errors.
  Fields(const Napi::Value& given, const char* what);

  bool flag(const char* name);
  int32_t integer(const char* name, int32_t min, int32_t max = INT32_MAX);
  std::string text(const char* name);
  // Filled by complete(), since an accessor of another field may take the memory away meanwhile.
  // Borrowed: valid until control returns to JavaScript.
  void bytes(const char* name, std::span<const uint8_t>& into);
  // The elements of an array.
  std::vector<Napi::Value> list(const char* name);
  Napi::Value object(const char* name);
  // Undefined if it is not there.
  Napi::Value optional(const char* name);

  // Call this after reading all fields: true if each was there, of its type, and no other was. If
  // false, a JavaScript exception is pending.
  [[nodiscard]] bool complete();

 private:
  Napi::Value required(const char* name);
  void refuse(const std::string& why);
  std::string strangerAmong(const Napi::Array& names) const;

  Napi::Env env_;
  const char* what_;
  Napi::Object object_;
  std::vector<const char*> read_;
  std::vector<std::pair<Napi::Value, std::span<const uint8_t>*>> views_;
  std::string wrong_;  // the first mistake; empty: none
};

}  // namespace mcbn
