// dtls13_settings.h: what a context's options say of DTLS 1.3.
#pragma once

#include <napi.h>

#include <memory>
#include <string>
#include <variant>

#include "dtls13/settings.h"
#include "session/context.h"

namespace mcbn {

// `given` is the field `dtls13` of NativeContextOptions, `context` what the others say. A null pointer: a JavaScript exception is
// pending, because the two sides do not know the same fields.
using Dtls13Made = std::variant<std::shared_ptr<const dtls13::Settings>, Failure>;
Dtls13Made dtls13Settings(const Napi::Value& given, const ContextOptions& context);

}  // namespace mcbn
