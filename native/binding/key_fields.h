// key_fields.h: keys, credentials and answers as JavaScript gives them.
//
// nullopt everywhere: the two sides disagree, and a JavaScript exception is pending.
#pragma once

#include <napi.h>

#include <optional>
#include <utility>

#include "psk/psk.h"

namespace mcbn {

// `hash`: 'sha256' or 'sha384'.
std::optional<PskEntry> entryOf(const Napi::Value& key, const Napi::Value& hash);

// { identity, key, hash }
std::optional<std::pair<Identity, PskEntry>> credentialOf(const Napi::Value& given);

// NativeAnswer of src/native/contract.ts: 'failed', or { key, hash, identity?, unknown? }.
struct GivenAnswer {
  PskAnswer answer;
  bool failed = false;  // the lookup did; to the peer it is an unknown identity
};
std::optional<GivenAnswer> answerOf(const Napi::Value& given);

}  // namespace mcbn
