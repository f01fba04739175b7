#include "binding/convert.h"

namespace mcbn {

std::span<const uint8_t> viewOf(const Napi::Value& value) {
  if (!value.IsTypedArray()) return {};
  const auto array = value.As<Napi::TypedArray>();
  if (array.TypedArrayType() != napi_uint8_array) return {};
  const auto bytes = array.As<Napi::Uint8Array>();
  return {bytes.Data(), bytes.ByteLength()};
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
