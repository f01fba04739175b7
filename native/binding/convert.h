// convert.h: values between JavaScript and C++, for the wraps in this folder.
//
// Arguments come from our own TypeScript, which has checked them (src/options.ts); these functions
// are still total: a wrong type yields an empty value, never a crash. Objects are read by fields.h,
// those that the addon made by own_object.h. test/native/abuse.test.ts gives them anything.
#pragma once

#include <napi.h>

#include <optional>
#include <string>

#include "psk/psk.h"
#include "session/failure.h"
#include "session/handshake.h"

namespace mcbn {

// Of exported keying material.
inline constexpr uint32_t kMaxExportBytes = 16'384;

// Borrowed: valid until control returns to JavaScript.
std::span<const uint8_t> viewOf(const Napi::Value& value);
// The same in one call into Node-API, for what is called with every batch; any typed array's bytes.
std::span<uint8_t> bufferView(const Napi::Value& value);
std::string bytesOf(const Napi::Value& value);  // Uint8Array or string (UTF-8)
bool isBytes(const Napi::Value& value);         // a Uint8Array
uint32_t numberOf(const Napi::Value& value);    // 0 if it is none; modulo 2^32
// nullopt: it is no array, or has over a million elements.
std::optional<std::vector<Napi::Value>> elementsOf(const Napi::Value& array);
Napi::Buffer<uint8_t> bufferOf(Napi::Env env, std::span<const uint8_t> bytes);
Napi::Buffer<uint8_t> bufferOf(Napi::Env env, const std::string& bytes);

// One of two words of the contract: whether it is the second. nullopt: neither, and a JavaScript
// exception is pending. A word that one side does not know must not become a silent default.
std::optional<bool> isSecondOf(const Napi::Value& value, const char* first, const char* second);

Napi::Object failureObject(Napi::Env env, const Failure& failure);
Napi::Object questionObject(Napi::Env env, const PskQuestion& question);
Napi::Object openedObject(Napi::Env env, const Opened& opened);

}  // namespace mcbn
