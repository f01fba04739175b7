// event_detail.h: what happened besides messages, as JavaScript is told (src/native/dtls.ts).
//
// What sessions agree on is mostly the same for all of a server: such terms are one object, which
// JavaScript keeps for as many sessions as have it.
#pragma once

#include <napi.h>

#include <string>
#include <unordered_map>

#include "engine/event.h"

namespace mcbn {

Napi::Object systemErrorObject(Napi::Env env, const SystemError& error);

class EventDetails {
 public:
  Napi::Value valueOf(Napi::Env env, const EventDetail& detail);
  // The same of this kind.
  Napi::Value openedValue(Napi::Env env, const OpenedEvent& event);
  // Before the environment ends.
  void clear() { terms_.clear(); }

 private:
  Napi::Value termsOf(Napi::Env env, const OpenedEvent& event);

  // By what they say. Strangers choose names: no more than so many are kept.
  static constexpr size_t kMostTerms = 256;
  std::unordered_map<std::string, Napi::ObjectReference> terms_;
};

}  // namespace mcbn
