#include "binding/summons.h"

namespace mcbn {

Summons* Summons::create(napi_env env, std::function<void()> summoned) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return nullptr;
  auto* const summons = new Summons(std::move(summoned));
  if (uv_async_init(loop, summons->handle(), [](uv_async_t* handle) { tell(handle); }) != 0) {
    delete summons;
    return nullptr;
  }
  summons->begin(env);
  return summons;
}

}  // namespace mcbn
