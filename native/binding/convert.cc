#include "binding/convert.h"

namespace mcbn {

bool isBytes(const Napi::Value& value) {
  return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
}

std::span<const uint8_t> viewOf(const Napi::Value& value) {
  if (!isBytes(value)) return {};
  const auto bytes = value.As<Napi::Uint8Array>();
  return {bytes.Data(), bytes.ByteLength()};
}

std::span<uint8_t> bufferView(const Napi::Value& value) {
  void* data = nullptr;
  size_t length = 0;
  if (napi_get_buffer_info(value.Env(), value, &data, &length) != napi_ok) return {};
  return {static_cast<uint8_t*>(data), length};
}

uint32_t numberOf(const Napi::Value& value) {
  return value.IsNumber() ? value.As<Napi::Number>().Uint32Value() : 0;
}

std::optional<std::vector<Napi::Value>> elementsOf(const Napi::Value& array) {
  constexpr uint32_t kMost = 1 << 20;
  if (!array.IsArray()) return std::nullopt;
  const auto given = array.As<Napi::Array>();
  const uint32_t length = given.Length();
  if (length > kMost) return std::nullopt;
  std::vector<Napi::Value> elements;
  elements.reserve(length);
  for (uint32_t i = 0; i < length; ++i) {
    const Napi::Value one = given[i];
    elements.push_back(one);
  }
  return elements;
}

std::string bytesOf(const Napi::Value& value) {
  if (value.IsString()) return value.As<Napi::String>().Utf8Value();
  const auto view = viewOf(value);
  return {reinterpret_cast<const char*>(view.data()), view.size()};
}

Napi::Buffer<uint8_t> bufferOf(Napi::Env env, std::span<const uint8_t> bytes) {
  return Napi::Buffer<uint8_t>::Copy(env, bytes.data(), bytes.size());
}

Napi::Buffer<uint8_t> bufferOf(Napi::Env env, const std::string& bytes) {
  return Napi::Buffer<uint8_t>::Copy(env, reinterpret_cast<const uint8_t*>(bytes.data()),
                                     bytes.size());
}

std::optional<bool> isSecondOf(const Napi::Value& value, const char* first, const char* second) {
  const std::string word = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  if (word == second) return true;
  if (word == first) return false;
  Napi::TypeError::New(value.Env(), std::string("mcbn addon: expected ") + first + " or " + second)
      .ThrowAsJavaScriptException();
  return std::nullopt;
}

Napi::Object failureObject(Napi::Env env, const Failure& failure) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("code", failure.code);
  object.Set("message", failure.message);
  object.Set("reason", failure.reason);
  object.Set("alert", failure.alert == kNoAlert ? std::string() : alertName(failure.alert));
  return object;
}

Napi::Object questionObject(Napi::Env env, const PskQuestion& question) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("number", question.number);
  object.Set("protocol", protocolName(question.protocol));
  if (question.identity) object.Set("identity", bufferOf(env, *question.identity));
  if (question.hint) object.Set("hint", *question.hint);
  object.Set("servername", question.servername);
  return object;
}

Napi::Object openedObject(Napi::Env env, const Opened& opened) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("protocol", protocolName(opened.protocol));
  object.Set("cipher", std::string(opened.cipher));
  object.Set("standardCipher", std::string(opened.standard_cipher));
  object.Set("alpn", opened.alpn);
  object.Set("servername", opened.servername);
  object.Set("identity", bufferOf(env, opened.identity));
  object.Set("extendedMasterSecret", opened.extended_master_secret);
  return object;
}

}  // namespace mcbn
