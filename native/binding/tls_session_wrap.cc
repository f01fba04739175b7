#include "binding/tls_session_wrap.h"

#include "binding/context_wrap.h"
#include "binding/convert.h"
#include "binding/fields.h"
#include "binding/key_fields.h"

namespace mcbn {
namespace {

bool overlap(ByteView one, ByteView other) {
  return !one.empty() && !other.empty() && one.data() < other.data() + other.size() &&
         other.data() < one.data() + one.size();
}

Napi::Value stepValue(Napi::Env env, TlsSession::Step step) {
  return Napi::Number::New(env, step.ready + static_cast<double>(TlsSession::kReadyRange) *
                                                 static_cast<double>(step.length));
}

}  // namespace

Napi::Function TlsSessionWrap::define(Napi::Env env) {
  return DefineClass(env, "TlsSession",
                     {InstanceMethod<&TlsSessionWrap::useKey>("useKey"),
                      InstanceMethod<&TlsSessionWrap::start>("start"),
                      InstanceMethod<&TlsSessionWrap::receive>("receive"),
                      InstanceMethod<&TlsSessionWrap::write>("write"),
                      InstanceMethod<&TlsSessionWrap::shutdown>("shutdown"),
                      InstanceMethod<&TlsSessionWrap::answer>("answer"),
                      InstanceMethod<&TlsSessionWrap::takeCiphertext>("takeCiphertext"),
                      InstanceMethod<&TlsSessionWrap::takeQuestion>("takeQuestion"),
                      InstanceMethod<&TlsSessionWrap::takeOpened>("takeOpened"),
                      InstanceMethod<&TlsSessionWrap::takeFailure>("takeFailure"),
                      InstanceMethod<&TlsSessionWrap::takeKeylog>("takeKeylog"),
                      InstanceMethod<&TlsSessionWrap::exportKeyingMaterial>("exportKeyingMaterial"),
                      InstanceMethod<&TlsSessionWrap::destroy>("destroy")});
}

TlsSessionWrap::TlsSessionWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  auto context = contextOf(info[0], Transport::Tls, std::nullopt);
  if (!context) return;
  Fields given(info[1], "session options");
  TlsSession::Options options;
  options.keylog = given.flag("keylog");
  options.servername = given.text("servername");
  options.ask_for_hint = given.flag("askForHint");
  if (!given.complete()) return;
  session_ = std::make_unique<TlsSession>(std::move(context), std::move(options));
}

Napi::Value TlsSessionWrap::useKey(const Napi::CallbackInfo& info) {
  auto credential = credentialOf(info[0]);
  if (!session_ || !credential) return stepValue(info.Env(), {});
  auto& [identity, entry] = *credential;
  return stepValue(info.Env(), session_->useKey(std::move(identity), std::move(entry)));
}

Napi::Value TlsSessionWrap::start(const Napi::CallbackInfo& info) {
  return stepValue(info.Env(), session_ ? session_->start() : TlsSession::Step{});
}

Napi::Value TlsSessionWrap::receive(const Napi::CallbackInfo& info) {
  if (!session_) return stepValue(info.Env(), {});
  ByteView ciphertext = bufferView(info[0]);
  const std::span<uint8_t> plaintext = bufferView(info[1]);
  if (overlap(ciphertext, plaintext)) {
    // A record completed by this chunk has more plaintext than the chunk has given bytes for it
    // yet, so output could overtake input. Copying the input within the cache is cheaper than fresh
    // memory.
    static thread_local Bytes input;
    input.assign(ciphertext.begin(), ciphertext.end());
    ciphertext = input;
  }
  return stepValue(info.Env(), session_->receive(ciphertext, plaintext));
}

Napi::Value TlsSessionWrap::write(const Napi::CallbackInfo& info) {
  if (!session_) return stepValue(info.Env(), {});
  const std::span<uint8_t> plaintext = bufferView(info[0]);
  std::span<uint8_t> ciphertext = bufferView(info[1]);
  // What does not fit is taken: with one memory for both, nothing fits.
  if (overlap(plaintext, ciphertext)) ciphertext = {};
  return stepValue(info.Env(), session_->write(plaintext, ciphertext));
}

Napi::Value TlsSessionWrap::shutdown(const Napi::CallbackInfo& info) {
  return stepValue(info.Env(), session_ ? session_->shutdown() : TlsSession::Step{});
}

// answer(number, NativeAnswer)
Napi::Value TlsSessionWrap::answer(const Napi::CallbackInfo& info) {
  auto given = answerOf(info[1]);
  if (!session_ || !given || !info[0].IsNumber()) return stepValue(info.Env(), {});
  const uint32_t number = info[0].As<Napi::Number>().Uint32Value();
  return stepValue(info.Env(), session_->answer(number, std::move(given->answer)));
}

Napi::Value TlsSessionWrap::takeCiphertext(const Napi::CallbackInfo& info) {
  return bufferOf(info.Env(), session_ ? session_->takeCiphertext() : Bytes());
}

Napi::Value TlsSessionWrap::takeQuestion(const Napi::CallbackInfo& info) {
  if (!session_) return info.Env().Undefined();
  return questionObject(info.Env(), session_->question());
}

Napi::Value TlsSessionWrap::takeOpened(const Napi::CallbackInfo& info) {
  if (!session_ || !session_->open()) return info.Env().Undefined();
  return openedObject(info.Env(), session_->opened());
}

Napi::Value TlsSessionWrap::takeFailure(const Napi::CallbackInfo& info) {
  return failureObject(info.Env(), session_ ? session_->failure() : Failure{});
}

Napi::Value TlsSessionWrap::takeKeylog(const Napi::CallbackInfo& info) {
  const auto lines = session_ ? session_->takeKeylog() : std::vector<std::string>();
  auto array = Napi::Array::New(info.Env(), lines.size());
  for (uint32_t i = 0; i < lines.size(); ++i) array.Set(i, bufferOf(info.Env(), lines[i] + '\n'));
  return array;
}

// exportKeyingMaterial(length, label, context?): undefined where it cannot be trusted
Napi::Value TlsSessionWrap::exportKeyingMaterial(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!session_ || !info[0].IsNumber() || !info[1].IsString()) return env.Undefined();
  const uint32_t length = numberOf(info[0]);
  if (length > kMaxExportBytes) return env.Undefined();
  auto out = Napi::Buffer<uint8_t>::New(env, length);
  const std::string label = info[1].As<Napi::String>().Utf8Value();
  std::optional<ByteView> context;
  if (info[2].IsTypedArray()) context = viewOf(info[2]);
  if (!session_->exportKeyingMaterial(label, context, {out.Data(), out.Length()})) {
    return env.Undefined();
  }
  return out;
}

void TlsSessionWrap::destroy(const Napi::CallbackInfo&) { session_.reset(); }

}  // namespace mcbn
