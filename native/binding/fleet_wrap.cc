#include "binding/fleet_wrap.h"

#include "base/clock.h"
#include "binding/convert.h"
#include "binding/fields.h"
#include "record/forwarding.h"

namespace mcbn {
namespace {

Napi::Object placeObject(Napi::Env env, const Address& at) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("address", at.unmapped().host());
  object.Set("port", at.port());
  return object;
}

}  // namespace

Napi::Function FleetWrap::define(Napi::Env env) {
  return DefineClass(
      env, "Fleet",
      {InstanceMethod<&FleetWrap::setMembers>("setMembers"),
       InstanceMethod<&FleetWrap::takeOver>("takeOver"), InstanceMethod<&FleetWrap::nodes>("nodes"),
       InstanceMethod<&FleetWrap::address>("address")});
}

FleetWrap::FleetWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  tagOwn<FleetWrap>(info);
  Fields given(info[0], "fleet");
  const auto node = static_cast<uint32_t>(given.integer("node", 0));
  ByteView key;
  given.bytes("key", key);
  if (!given.complete()) return;
  if (key.size() != forwarding::kKeyBytes) {
    Napi::TypeError::New(info.Env(), "mcbn addon: fleet: key: expected 32 bytes")
        .ThrowAsJavaScriptException();
    return;
  }
  directory_ =
      std::make_shared<FleetDirectory>(node, key, wallMilliseconds(), monotonicMilliseconds());
}

// (NativeRemote[]): how many of them are addresses.
Napi::Value FleetWrap::setMembers(const Napi::CallbackInfo& info) {
  const auto given = elementsOf(info[0]);
  if (!given || info.Env().IsExceptionPending()) return {};
  std::vector<Address> members;
  for (const Napi::Value& each : *given) {
    Fields fields(each, "member");
    const std::string host = fields.text("address");
    const auto port = static_cast<uint16_t>(fields.integer("port", 0, UINT16_MAX));
    if (!fields.complete()) return {};
    if (const auto address = Address::parse(host, port)) members.push_back(*address);
  }
  const auto count = static_cast<double>(members.size());
  directory_->setMembers(std::move(members));
  return Napi::Number::New(info.Env(), count);
}

Napi::Value FleetWrap::takeOver(const Napi::CallbackInfo& info) {
  const uint32_t node = numberOf(info[0]);
  return Napi::Boolean::New(info.Env(), directory_->takeOver(node, wallMilliseconds()));
}

// [node, { address, port } or undefined: this process, node, ...]
Napi::Value FleetWrap::nodes(const Napi::CallbackInfo& info) {
  const auto known = directory_->known(monotonicMilliseconds());
  Napi::Array array = Napi::Array::New(info.Env(), 2 * known.size());
  for (uint32_t i = 0; i < known.size(); ++i) {
    array[2 * i] = Napi::Number::New(info.Env(), known[i].node);
    if (known[i].at) array[2 * i + 1] = placeObject(info.Env(), known[i].at);
  }
  return array;
}

Napi::Value FleetWrap::address(const Napi::CallbackInfo& info) {
  const Address bound = directory_->bound();
  if (!bound) return info.Env().Undefined();
  return placeObject(info.Env(), bound);
}

}  // namespace mcbn
