#include "binding/certificate_path.h"

#include "binding/convert.h"
#include "binding/fields.h"
#include "trust/certificate_path.h"

namespace mcbn {
namespace {

std::vector<ByteView> viewsOf(const std::vector<Napi::Value>& given) {
  std::vector<ByteView> all;
  all.reserve(given.size());
  for (const Napi::Value& one : given) all.push_back(viewOf(one));
  return all;
}

}  // namespace

// ({leaf, intermediates, roots, crls, time, strict, digitalSignature}): {failure, depth, extensions}.
Napi::Value validatePathOf(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Fields fields(info[0], "path");
  PathRequest request;
  fields.bytes("leaf", request.leaf);
  const auto intermediates = fields.list("intermediates");
  const auto roots = fields.list("roots");
  const auto crls = fields.list("crls");
  request.strict = fields.flag("strict");
  request.digital_signature = fields.flag("digitalSignature");
  const Napi::Value time = fields.optional("time");
  if (!fields.complete()) return env.Undefined();
  request.intermediates = viewsOf(intermediates);
  request.roots = viewsOf(roots);
  request.crls = viewsOf(crls);
  request.time = time.IsNumber() ? time.As<Napi::Number>().Int64Value() : 0;

  const PathVerdict verdict = validatePath(request);
  Napi::Object result = Napi::Object::New(env);
  result.Set("failure", verdict.failure);
  result.Set("depth", verdict.depth);
  Napi::Array extensions = Napi::Array::New(env, verdict.extensions.size());
  for (uint32_t at = 0; at < verdict.extensions.size(); ++at) {
    Napi::Array pair = Napi::Array::New(env, 2);
    pair[0U] = Napi::String::New(env, verdict.extensions[at].first);
    pair[1U] = bufferOf(env, verdict.extensions[at].second);
    extensions[at] = pair;
  }
  result.Set("extensions", extensions);
  return result;
}

}  // namespace mcbn
