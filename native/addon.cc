// addon.cc: registers the classes of binding/ in one JavaScript environment; nothing else.
#include <napi.h>
#include <openssl/crypto.h>

#include "binding/addon_data.h"
#include "binding/admission_wrap.h"
#include "binding/certificate_path.h"
#include "binding/context_wrap.h"
#include "binding/contract.h"
#include "binding/file_lock.h"
#include "binding/fleet_wrap.h"
#include "binding/hpke_seal.h"
#include "binding/io_thread_wrap.h"
#include "binding/key_table_wrap.h"
#include "binding/tls_session_wrap.h"

namespace {

Napi::Object start(Napi::Env env, Napi::Object exports) {
  // Node 20 to 26 carry OpenSSL 3. The addon was compiled against its headers; another major
  // version may have moved what the macros in them reach.
  if (OPENSSL_version_major() != 3) {
    Napi::Error::New(env, std::string("mcbn needs Node.js on OpenSSL 3, this one runs on ") +
                              OpenSSL_version(OPENSSL_VERSION))
        .ThrowAsJavaScriptException();
    return exports;
  }
  auto* data = new mcbn::AddonData;
  env.SetInstanceData(data);
  const auto add = [&](const char* name, Napi::FunctionReference& slot,
                       Napi::Function constructor) {
    slot = Napi::Persistent(constructor);
    exports.Set(name, constructor);
  };
  add("Admission", data->admission, mcbn::AdmissionWrap::define(env));
  add("Context", data->context, mcbn::ContextWrap::define(env));
  add("Fleet", data->fleet, mcbn::FleetWrap::define(env));
  add("IoThread", data->io_thread, mcbn::IoThreadWrap::define(env));
  add("KeyTable", data->key_table, mcbn::KeyTableWrap::define(env));
  add("TlsSession", data->tls_session, mcbn::TlsSessionWrap::define(env));
  exports.Set("sealHpke", Napi::Function::New(env, mcbn::sealHpke, "sealHpke"));
  exports.Set("unlockFile", Napi::Function::New(env, mcbn::unlockFile, "unlockFile"));
  exports.Set("tryLockFile", Napi::Function::New(env, mcbn::tryLockFile, "tryLockFile"));
  exports.Set("validatePath", Napi::Function::New(env, mcbn::validatePathOf, "validatePath"));
  exports.Set("contract", mcbn::contractObject(env));
  exports.Set("opensslVersion", OpenSSL_version(OPENSSL_VERSION_STRING));
  return exports;
}

}  // namespace

NODE_API_MODULE(mcbn, start)
