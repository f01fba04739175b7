// hpke_seal.h: `sealHpke` of src/native/hpke.ts.
#pragma once

#include <napi.h>

namespace mcbn {

Napi::Value sealHpke(const Napi::CallbackInfo& info);

}  // namespace mcbn
