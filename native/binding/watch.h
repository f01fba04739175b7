// watch.h: tells on JavaScript's thread that a descriptor is readable, from the event loop.
//
// Ownership   deletes itself: see loop_handle.h.
// Thread      JavaScript's.
#pragma once

#include "binding/loop_handle.h"

namespace mcbn {

class Watch : public LoopHandle<uv_poll_t> {
 public:
  // Null when the event loop has none to give.
  static Watch* create(napi_env env, int fd, std::function<void()> readable);

  void start();
  void stop();

 private:
  using LoopHandle::LoopHandle;

  bool watching_ = false;
};

}  // namespace mcbn
