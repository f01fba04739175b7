#include "binding/hpke_seal.h"

#include "binding/convert.h"
#include "hpke/seal.h"

namespace mcbn {

// (out, publicKey, plaintext, info, aad, ...exports): whether it was sealed.
Napi::Value sealHpke(const Napi::CallbackInfo& info) {
  HpkeMessage message;
  for (size_t at = 5; at < info.Length(); ++at) message.exports.push_back(bytesOf(info[at]));
  const MutableBytes out = bufferView(info[0]);
  message.public_key = bufferView(info[1]);
  message.plaintext = bufferView(info[2]);
  message.info = bufferView(info[3]);
  message.aad = bufferView(info[4]);
  return Napi::Boolean::New(info.Env(), hpkeSeal(message, out));
}

}  // namespace mcbn
