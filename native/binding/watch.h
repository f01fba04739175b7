// watch.h: tells on JavaScript's thread that a descriptor is readable, from the event loop.
//
// Ownership   deletes itself after close(), which its owner calls, at the latest when the
//             environment ends: the event loop lets go of a handle only later, and the environment
//             waits for that.
// Thread      JavaScript's.
#pragma once

#include <node_api.h>
#include <uv.h>

#include <functional>

namespace mcbn {

class Watch {
 public:
  // Null when the event loop has none to give. Does not keep the process alive.
  static Watch* create(napi_env env, int fd, std::function<void()> readable);
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  void start();
  void stop();
  // Nothing is told any more.
  void close();

 private:
  explicit Watch(std::function<void()> readable) : readable_(std::move(readable)) {}
  ~Watch() = default;

  static void onReadable(uv_poll_t* handle, int status, int events);
  static void onEnvironmentEnd(napi_async_cleanup_hook_handle hook, void* self);

  uv_poll_t handle_{};
  std::function<void()> readable_;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  bool watching_ = false;
  bool closing_ = false;
};

}  // namespace mcbn
