#include "binding/watch.h"

#include <utility>

namespace mcbn {

Watch* Watch::create(napi_env env, int fd, std::function<void()> readable) {
  uv_loop_t* loop = nullptr;
  if (fd < 0 || napi_get_uv_event_loop(env, &loop) != napi_ok) return nullptr;
  auto* const watch = new Watch(std::move(readable));
  if (uv_poll_init(loop, &watch->handle_, fd) != 0) {
    delete watch;
    return nullptr;
  }
  watch->handle_.data = watch;
  uv_unref(reinterpret_cast<uv_handle_t*>(&watch->handle_));
  napi_add_async_cleanup_hook(env, onEnvironmentEnd, watch, &watch->hook_);
  return watch;
}

void Watch::start() {
  if (watching_ || closing_) return;
  watching_ = uv_poll_start(&handle_, UV_READABLE, onReadable) == 0;
}

void Watch::stop() {
  if (std::exchange(watching_, false)) uv_poll_stop(&handle_);
}

void Watch::close() {
  if (std::exchange(closing_, true)) return;
  stop();
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_), [](uv_handle_t* handle) {
    auto* const watch = static_cast<Watch*>(handle->data);
    if (watch->hook_) napi_remove_async_cleanup_hook(watch->hook_);
    delete watch;
  });
}

void Watch::onReadable(uv_poll_t* handle, int, int) {
  auto* const watch = static_cast<Watch*>(handle->data);
  if (!watch->closing_) watch->readable_();
}

// Only there so that the environment waits: the owner is told as well, and calls close().
void Watch::onEnvironmentEnd(napi_async_cleanup_hook_handle, void*) {}

}  // namespace mcbn
