// loop_handle.h: a handle of the event loop, and when it may go.
//
// Ownership   deletes itself after close(), which its owner calls, at the latest when the
//             environment ends: the event loop lets go of a handle only later, and the environment
//             waits for that.
// Thread      JavaScript's.
#pragma once

#include <node_api.h>
#include <uv.h>

#include <functional>
#include <utility>

namespace mcbn {

// `Handle`: libuv's. Does not keep the process alive, unless ref() says so.
template <typename Handle>
class LoopHandle {
 public:
  LoopHandle(const LoopHandle&) = delete;
  LoopHandle& operator=(const LoopHandle&) = delete;

  void ref() { uv_ref(generic()); }
  void unref() { uv_unref(generic()); }
  // Nothing is told any more.
  void close() {
    if (std::exchange(closing_, true)) return;
    uv_close(generic(), [](uv_handle_t* handle) {
      auto* const self = static_cast<LoopHandle*>(handle->data);
      if (self->hook_) napi_remove_async_cleanup_hook(self->hook_);
      delete self;
    });
  }

 protected:
  explicit LoopHandle(std::function<void()> told) : told_(std::move(told)) {}
  virtual ~LoopHandle() = default;

  // Once the event loop has it.
  void begin(napi_env env) {
    handle_.data = this;
    unref();
    napi_add_async_cleanup_hook(env, onEnvironmentEnd, this, &hook_);
  }
  static void tell(Handle* handle) {
    auto* const self = static_cast<LoopHandle*>(handle->data);
    if (!self->closing_) self->told_();
  }
  Handle* handle() { return &handle_; }
  bool closing() const { return closing_; }

 private:
  uv_handle_t* generic() { return reinterpret_cast<uv_handle_t*>(&handle_); }
  // Only there so that the environment waits: the owner is told as well, and calls close().
  static void onEnvironmentEnd(napi_async_cleanup_hook_handle, void*) {}

  Handle handle_{};
  std::function<void()> told_;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  bool closing_ = false;
};

}  // namespace mcbn
