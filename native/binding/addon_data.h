// addon_data.h: what one JavaScript environment (main thread or worker) holds of the addon.
//
// Several environments load the addon in one process: nothing that belongs to JavaScript may be
// global.
#pragma once

#include <napi.h>

namespace mcbn {

struct AddonData {
  Napi::FunctionReference admission;
  Napi::FunctionReference context;
  Napi::FunctionReference fleet;
  Napi::FunctionReference io_thread;
  Napi::FunctionReference key_table;
  Napi::FunctionReference tls_session;
};

}  // namespace mcbn
