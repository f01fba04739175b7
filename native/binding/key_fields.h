// key_fields.h: keys, credentials and answers as JavaScript gives them.
//
// nullopt everywhere: the two sides disagree, and a JavaScript exception is pending.
#pragma once

#include <napi.h>

#include <optional>
#include <utility>

#include "psk/psk.h"

namespace mcbn {

// `hash`: 'sha256' or 'sha384'. `imported`: true, or anything else.
std::optional<PskEntry> entryOf(const Napi::Value& key, const Napi::Value& hash,
                                const Napi::Value& imported);

// { identity, key, hash, imported? }
std::optional<std::pair<Identity, PskEntry>> credentialOf(const Napi::Value& given);

// NativeAnswer of src/native/contract.ts: 'failed', or { key, hash, imported?, identity?, unknown? }.
struct GivenAnswer {
  PskAnswer answer;
  bool failed = false;  // the lookup did; to the peer it is an unknown identity
};
std::optional<GivenAnswer> answerOf(const Napi::Value& given);

}  // namespace mcbn
