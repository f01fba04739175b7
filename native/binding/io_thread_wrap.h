// io_thread_wrap.h: `IoThread` of src/native/contract.ts, and the bridge by which batches cross.
#pragma once

#include <napi.h>

#include <memory>

#include "binding/event_detail.h"
#include "binding/summons.h"
#include "binding/watch.h"
#include "engine/io_thread.h"

namespace mcbn {

class IoThreadWrap : public Napi::ObjectWrap<IoThreadWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit IoThreadWrap(const Napi::CallbackInfo& info);
  ~IoThreadWrap() override;

 private:
  // Outlives the wrap while JavaScript is told something, in which it may close.
  struct Bridge {
    struct Lent {
      Frame bytes;
      size_t size;
    };
    std::vector<Lent> frames;  // outlive `io`, which reads them
    std::unique_ptr<IoThread> io;
    EventDetails details;
    Napi::FunctionReference on_batch;
    std::unique_ptr<Napi::AsyncContext> async;
    Summons* summons = nullptr;  // as long as it is open
    Watch* watch = nullptr;      // null: nothing to watch or attend with
    bool closed = false;
    Napi::Reference<Napi::Uint32Array> rows;  // JavaScript's
    Napi::Reference<Napi::Uint8Array> inbox;  // the same
  };
  static void tell(Napi::Env env, Bridge& bridge);
  static void tellRows(Napi::Env env, Bridge& bridge);
  static Napi::Value messagesValue(Napi::Env env, MessageBytes& messages, Bridge& bridge);
  static void visit(Napi::Env env, const std::shared_ptr<Bridge>& bridge);
  static void deliver(Napi::Env env, const std::shared_ptr<Bridge>& bridge);

  Napi::Value listen(const Napi::CallbackInfo& info);
  void begin(const Napi::CallbackInfo& info);
  Napi::Value connect(const Napi::CallbackInfo& info);
  Napi::Value frame(const Napi::CallbackInfo& info);
  Napi::Value released(const Napi::CallbackInfo& info);
  Napi::Value submit(const Napi::CallbackInfo& info);
  Napi::Value progress(const Napi::CallbackInfo& info);
  void notifyAt(const Napi::CallbackInfo& info);
  void answer(const Napi::CallbackInfo& info);
  void updateKeys(const Napi::CallbackInfo& info);
  void closeSession(const Napi::CallbackInfo& info);
  void closeEndpoint(const Napi::CallbackInfo& info);
  Napi::Value endSessionsOf(const Napi::CallbackInfo& info);
  void confirmAddress(const Napi::CallbackInfo& info);
  void setKeylog(const Napi::CallbackInfo& info);
  Napi::Value exportKeyingMaterial(const Napi::CallbackInfo& info);
  Napi::Value exportSession(const Napi::CallbackInfo& info);
  Napi::Value exportSessions(const Napi::CallbackInfo& info);
  Napi::Value importSessions(const Napi::CallbackInfo& info);
  Napi::Value takeRows(const Napi::CallbackInfo& info);
  void rowsWritten(const Napi::CallbackInfo& info);
  Napi::Value endpointStats(const Napi::CallbackInfo& info);
  Napi::Value sessionStats(const Napi::CallbackInfo& info);
  Napi::Value udpStats(const Napi::CallbackInfo& info);
  void ref(const Napi::CallbackInfo& info);
  void unref(const Napi::CallbackInfo& info);
  void stop(const Napi::CallbackInfo& info);

  // Stops the thread before the environment, and with it the summons, goes away.
  static void onEnvironmentEnd(void* self);
  void close();
  IoThread& io() { return *bridge_->io; }

  std::shared_ptr<Bridge> bridge_;
};

}  // namespace mcbn
