// contract.h: what src/native/ and the addon must both know, as the addon knows it.
//
// TypeScript has these numbers as constants, since it reads them for every message.
// test/native/contract.test.ts compares them with what is exported here. Names of options are not
// among them: each call refuses fields that only one side knows (fields.h).
#pragma once

#include <napi.h>

namespace mcbn {

Napi::Object contractObject(Napi::Env env);

}  // namespace mcbn
