#include "binding/watch.h"

namespace mcbn {

Watch* Watch::create(napi_env env, int fd, std::function<void()> readable) {
  uv_loop_t* loop = nullptr;
  if (fd < 0 || napi_get_uv_event_loop(env, &loop) != napi_ok) return nullptr;
  auto* const watch = new Watch(std::move(readable));
  if (uv_poll_init(loop, watch->handle(), fd) != 0) {
    delete watch;
    return nullptr;
  }
  watch->begin(env);
  return watch;
}

void Watch::start() {
  if (watching_ || closing()) return;
  watching_ =
      uv_poll_start(handle(), UV_READABLE, [](uv_poll_t* handle, int, int) { tell(handle); }) == 0;
}

void Watch::stop() {
  if (std::exchange(watching_, false)) uv_poll_stop(handle());
}

}  // namespace mcbn
