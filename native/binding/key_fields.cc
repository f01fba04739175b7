#include "binding/key_fields.h"

#include "binding/convert.h"
#include "binding/fields.h"

namespace mcbn {
namespace {

std::optional<PskHash> hashOf(Napi::Env env, const std::string& name) {
  if (name == "sha256") return PskHash::Sha256;
  if (name == "sha384") return PskHash::Sha384;
  Napi::TypeError::New(env, "mcbn addon: hash: expected 'sha256' or 'sha384'")
      .ThrowAsJavaScriptException();
  return std::nullopt;
}

PskOrigin originOf(const Napi::Value& imported) {
  return imported.IsBoolean() && imported.As<Napi::Boolean>().Value() ? PskOrigin::Imported
                                                                      : PskOrigin::External;
}

}  // namespace

std::optional<PskEntry> entryOf(const Napi::Value& key, const Napi::Value& hash,
                                const Napi::Value& imported) {
  const auto known = hashOf(key.Env(), bytesOf(hash));
  if (!known) return std::nullopt;
  return PskEntry{Secret(viewOf(key)), *known, originOf(imported)};
}

std::optional<std::pair<Identity, PskEntry>> credentialOf(const Napi::Value& value) {
  Fields given(value, "credential");
  std::span<const uint8_t> identity, key;
  given.bytes("identity", identity);
  given.bytes("key", key);
  const std::string hash = given.text("hash");
  const PskOrigin origin = originOf(given.optional("imported"));
  if (!given.complete()) return std::nullopt;
  const auto known = hashOf(value.Env(), hash);
  if (!known) return std::nullopt;
  return std::pair{Identity(identity.begin(), identity.end()),
                   PskEntry{Secret(key), *known, origin}};
}

std::optional<GivenAnswer> answerOf(const Napi::Value& value) {
  GivenAnswer given;
  if (value.IsString()) {
    const std::string word = value.As<Napi::String>().Utf8Value();
    given.failed = word == "failed";
    if (given.failed) return given;
    Napi::TypeError::New(value.Env(), "mcbn addon: answer: expected 'failed' or a key")
        .ThrowAsJavaScriptException();
    return std::nullopt;
  }
  Fields fields(value, "answer");
  std::span<const uint8_t> key;
  fields.bytes("key", key);
  const std::string hash = fields.text("hash");
  const PskOrigin origin = originOf(fields.optional("imported"));
  const Napi::Value identity = fields.optional("identity");
  const bool unknown = !fields.optional("unknown").IsUndefined();
  if (!fields.complete()) return std::nullopt;
  const auto known = hashOf(value.Env(), hash);
  if (!known) return std::nullopt;
  given.answer.entry = PskEntry{Secret(key), *known, origin};
  // After the copy, so that it takes as long as an answer with a key.
  if (unknown) given.answer.entry.reset();
  given.answer.identity = bytesOf(identity);
  return given;
}

}  // namespace mcbn
