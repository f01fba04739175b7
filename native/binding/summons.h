// summons.h: has JavaScript's thread call a function soon, from the event loop, whichever thread asks.
//
// What a thread-safe function of Node-API does too; but that one holds a mutex while it wakes the
// event loop, and the function's call takes the same mutex. Where both threads share a processor
// the woken one runs first, into the mutex: each wake-up became three changes of threads.
//
// Ownership   deletes itself: see loop_handle.h.
// Thread      call() is for any thread, until close(); the rest is JavaScript's.
#pragma once

#include "binding/loop_handle.h"

namespace mcbn {

class Summons : public LoopHandle<uv_async_t> {
 public:
  // Null when the event loop has none to give.
  static Summons* create(napi_env env, std::function<void()> summoned);

  // Several, before the function is called, are one.
  void call() { uv_async_send(handle()); }

 private:
  using LoopHandle::LoopHandle;
};

}  // namespace mcbn
