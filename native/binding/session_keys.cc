// What JavaScript does with the keys of a session: new ones, and what is exported from them.
#include "binding/convert.h"
#include "binding/io_thread_wrap.h"

namespace mcbn {

// updateKeys(endpoint, session, both)
void IoThreadWrap::updateKeys(const Napi::CallbackInfo& info) {
  io().post([id = numberOf(info[0]), session = numberOf(info[1]),
             both = info[2].ToBoolean().Value()](IoThread& self) {
    Endpoint* const endpoint = self.endpoint(id);
    if (!endpoint) return;
    self.sendEverything(*endpoint);
    endpoint->updateKeys(session, both, self.now());
    self.touched(*endpoint);
  });
}

Napi::Value IoThreadWrap::exportKeyingMaterial(const Napi::CallbackInfo& info) {
  Bytes out(std::min(numberOf(info[2]), kMaxExportBytes));
  bool exported = false;
  std::optional<std::string> context;
  if (info[4].IsTypedArray()) context = bytesOf(info[4]);
  io().call([&, id = numberOf(info[0]), session = numberOf(info[1]),
             label = bytesOf(info[3])](IoThread& self) {
    Endpoint* const endpoint = self.endpoint(id);
    Association* const association = endpoint ? endpoint->find(session) : nullptr;
    if (!association) return;
    std::optional<ByteView> view;
    if (context)
      view = ByteView(reinterpret_cast<const uint8_t*>(context->data()), context->size());
    exported = association->session.exportKeyingMaterial(label, view, out);
  });
  if (!exported) return info.Env().Null();
  const Napi::Value buffer = bufferOf(info.Env(), ByteView(out));
  OPENSSL_cleanse(out.data(), out.size());
  return buffer;
}

}  // namespace mcbn
