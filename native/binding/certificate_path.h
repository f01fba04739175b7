// certificate_path.h: `validatePath` of src/native/path.ts.
#pragma once

#include <napi.h>

namespace mcbn {

Napi::Value validatePathOf(const Napi::CallbackInfo& info);

}  // namespace mcbn
