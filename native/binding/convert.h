// convert.h: values between JavaScript and C++, for the wraps in this folder.
//
// Arguments come from our own TypeScript, which has checked them (src/options.ts); these functions
// are still total: a wrong type yields an empty value, never a crash. Objects are read by fields.h.
#pragma once

#include <napi.h>

#include <optional>
#include <string>

#include "psk/psk.h"
#include "session/failure.h"
#include "session/handshake.h"

namespace mcbn {

// Borrowed: valid until control returns to JavaScript.
std::span<const uint8_t> viewOf(const Napi::Value& value);
std::string bytesOf(const Napi::Value& value);  // Uint8Array or string (UTF-8)
Napi::Buffer<uint8_t> bufferOf(Napi::Env env, std::span<const uint8_t> bytes);
Napi::Buffer<uint8_t> bufferOf(Napi::Env env, const std::string& bytes);

// One of two words of the contract: whether it is the second. nullopt: neither, and a JavaScript
// exception is pending. A word that one side does not know must not become a silent default.
std::optional<bool> isSecondOf(const Napi::Value& value, const char* first, const char* second);

Napi::Object failureObject(Napi::Env env, const Failure& failure);
Napi::Object questionObject(Napi::Env env, const PskQuestion& question);
Napi::Object openedObject(Napi::Env env, const Opened& opened);

}  // namespace mcbn
