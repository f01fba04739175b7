#include "binding/io_thread_wrap.h"

#include <cstring>

#include "binding/admission_wrap.h"
#include "binding/context_wrap.h"
#include "binding/convert.h"
#include "binding/endpoint_options.h"
#include "binding/fields.h"
#include "binding/fleet_wrap.h"
#include "binding/key_fields.h"

namespace mcbn {
namespace {

constexpr size_t kLargestFrame = 16 * 1024 * 1024;

// The rows that a Uint32Array has room for; none if it is something else.
std::span<EventRow> roomIn(Napi::Env env, const Napi::Value& value) {
  napi_typedarray_type type = napi_int8_array;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint32_array) {
    return {};
  }
  return {static_cast<EventRow*>(data), length * sizeof(uint32_t) / sizeof(EventRow)};
}

// { address, port, family } or { error }.
Napi::Object openedSocket(Napi::Env env, const SystemError& error, const Address& local) {
  Napi::Object object = Napi::Object::New(env);
  if (error) {
    object.Set("error", systemErrorObject(env, error));
    return object;
  }
  object.Set("address", local.host());
  object.Set("port", local.port());
  object.Set("family", local.isIpv6() ? "IPv6" : "IPv4");
  return object;
}

// A Buffer that takes the slab along; it gives the slab back when it is collected.
Napi::Value lentSlab(Napi::Env env, MessageBytes& messages, const std::shared_ptr<SlabPool>& pool) {
  const size_t size = messages.size();
  uint8_t* const bytes = messages.release().release();
  // The Buffer has it, and deletes it. NOLINTNEXTLINE(clang-analyzer-cplusplus.NewDeleteLeaks)
  return Napi::Buffer<uint8_t>::NewOrCopy(
      env, bytes, size,
      [](Napi::Env, uint8_t* data, std::shared_ptr<SlabPool>* owner) {
        (*owner)->give(Slab(data));
        delete owner;
      },
      new std::shared_ptr<SlabPool>(pool));
}

}  // namespace

Napi::Function IoThreadWrap::define(Napi::Env env) {
  return DefineClass(env, "IoThread",
                     {InstanceMethod<&IoThreadWrap::listen>("listen"),
                      InstanceMethod<&IoThreadWrap::begin>("begin"),
                      InstanceMethod<&IoThreadWrap::connect>("connect"),
                      InstanceMethod<&IoThreadWrap::frame>("frame"),
                      InstanceMethod<&IoThreadWrap::submit>("submit"),
                      InstanceMethod<&IoThreadWrap::released>("released"),
                      InstanceMethod<&IoThreadWrap::progress>("progress"),
                      InstanceMethod<&IoThreadWrap::notifyAt>("notifyAt"),
                      InstanceMethod<&IoThreadWrap::answer>("answer"),
                      InstanceMethod<&IoThreadWrap::updateKeys>("updateKeys"),
                      InstanceMethod<&IoThreadWrap::closeSession>("closeSession"),
                      InstanceMethod<&IoThreadWrap::closeEndpoint>("closeEndpoint"),
                      InstanceMethod<&IoThreadWrap::endSessionsOf>("endSessionsOf"),
                      InstanceMethod<&IoThreadWrap::confirmAddress>("confirmAddress"),
                      InstanceMethod<&IoThreadWrap::setKeylog>("setKeylog"),
                      InstanceMethod<&IoThreadWrap::exportKeyingMaterial>("exportKeyingMaterial"),
                      InstanceMethod<&IoThreadWrap::exportSession>("exportSession"),
                      InstanceMethod<&IoThreadWrap::exportSessions>("exportSessions"),
                      InstanceMethod<&IoThreadWrap::importSessions>("importSessions"),
                      InstanceMethod<&IoThreadWrap::takeRows>("takeRows"),
                      InstanceMethod<&IoThreadWrap::rowsWritten>("rowsWritten"),
                      InstanceMethod<&IoThreadWrap::endpointStats>("endpointStats"),
                      InstanceMethod<&IoThreadWrap::sessionStats>("sessionStats"),
                      InstanceMethod<&IoThreadWrap::udpStats>("udpStats"),
                      InstanceMethod<&IoThreadWrap::ref>("ref"),
                      InstanceMethod<&IoThreadWrap::unref>("unref"),
                      InstanceMethod<&IoThreadWrap::stop>("stop")});
}

IoThreadWrap::IoThreadWrap(const Napi::CallbackInfo& info)
    : ObjectWrap(info), bridge_(std::make_shared<Bridge>()) {
  const Napi::Env env = info.Env();
  if (!info[0].IsFunction() || roomIn(env, info[1]).empty() || !isBytes(info[2])) {
    bridge_->closed = true;
    Napi::TypeError::New(env, "mcbn addon: expected a function, and room for rows and messages")
        .ThrowAsJavaScriptException();
    return;
  }
  bridge_->rows = Napi::Persistent(info[1].As<Napi::Uint32Array>());
  bridge_->inbox = Napi::Persistent(info[2].As<Napi::Uint8Array>());
  bridge_->summons = Summons::create(env, [env, bridge = std::weak_ptr(bridge_)] {
    if (const auto still = bridge.lock()) deliver(env, still);
  });
  if (!bridge_->summons) {
    bridge_->closed = true;
    Napi::Error::New(env, "mcbn addon: the event loop has ended").ThrowAsJavaScriptException();
    return;
  }
  bridge_->io = std::make_unique<IoThread>([summons = bridge_->summons] { summons->call(); });
  bridge_->on_batch = Napi::Persistent(info[0].As<Napi::Function>());
  bridge_->async = std::make_unique<Napi::AsyncContext>(env, "mcbn I/O");
  bridge_->watch =
      Watch::create(env, bridge_->io->attendableFd(), [env, bridge = std::weak_ptr(bridge_)] {
        if (const auto still = bridge.lock()) visit(env, still);
      });
  napi_add_env_cleanup_hook(env, onEnvironmentEnd, this);
  if (const SystemError error = bridge_->io->start()) {
    close();
    Napi::Error::New(env, "no I/O thread: " + error.text()).ThrowAsJavaScriptException();
  }
}

IoThreadWrap::~IoThreadWrap() { close(); }

void IoThreadWrap::onEnvironmentEnd(void* self) { static_cast<IoThreadWrap*>(self)->close(); }

void IoThreadWrap::close() {
  if (std::exchange(bridge_->closed, true)) return;
  napi_remove_env_cleanup_hook(Env(), onEnvironmentEnd, this);
  bridge_->io->stop();
  std::exchange(bridge_->summons, nullptr)->close();
  if (bridge_->watch) std::exchange(bridge_->watch, nullptr)->close();
  bridge_->details.clear();
  bridge_->on_batch.Reset();
  bridge_->rows.Reset();
  bridge_->async.reset();
}

// On JavaScript's thread, from the event loop: OpenSSL is not on this stack.
void IoThreadWrap::deliver(Napi::Env env, const std::shared_ptr<Bridge>& bridge) {
  if (bridge->closed) return;
  tell(env, *bridge);
  if (!bridge->closed && bridge->watch && bridge->io->attend()) bridge->watch->start();
}

// The same, when this thread has found by itself that something came.
void IoThreadWrap::visit(Napi::Env env, const std::shared_ptr<Bridge>& bridge) {
  if (bridge->closed) return;
  if (!bridge->io->visit()) bridge->watch->stop();
  do {
    tell(env, *bridge);
  } while (!bridge->closed && bridge->io->lookAgain());
}

// Answers are sent when JavaScript's turn is over, which the scope's end is.
void IoThreadWrap::tell(Napi::Env env, Bridge& bridge) {
  const Napi::HandleScope handles(env);
  const Napi::CallbackScope scope(env, *bridge.async);
  if (!env.IsExceptionPending()) tellRows(env, bridge);
  if (env.IsExceptionPending()) {
    napi_fatal_exception(env, env.GetAndClearPendingException().Value());
  }
}

void IoThreadWrap::tellRows(Napi::Env env, Bridge& bridge) {
  EventQueue& events = bridge.io->events();
  for (EventBatch& batch : events.takeAll()) {
    const Napi::HandleScope scope(env);
    Napi::Value details = env.Undefined();
    if (!batch.details.empty()) {
      Napi::Array array = Napi::Array::New(env, batch.details.size());
      // The environment is ending: a worker is terminated, an unref'd server left.
      if (array.IsEmpty()) return;
      for (uint32_t i = 0; i < batch.details.size(); ++i) {
        array[i] = bridge.details.valueOf(env, batch.details[i]);
      }
      details = array;
    }
    const Napi::Value messages = messagesValue(env, batch.messages, bridge);
    if (messages.IsEmpty()) return;
    for (std::span<const EventRow> rows = batch.rows; !rows.empty();) {
      // Asked for each time: JavaScript can give its array's memory away.
      const std::span<EventRow> room = roomIn(env, bridge.rows.Value());
      if (room.empty()) return;
      const auto some = rows.first(std::min(rows.size(), room.size()));
      std::memcpy(room.data(), some.data(), some.size_bytes());
      bridge.on_batch.Call(
          {Napi::Number::New(env, static_cast<double>(some.size())), messages, details});
      // The rest went with it: src/dtls never lets one through.
      if (env.IsExceptionPending()) return;
      if (bridge.closed) return;
      rows = rows.subspan(some.size());
    }
    events.recycle(std::move(batch));
  }
}

// How many bytes of messages lie in the inbox, or a Buffer of them where they have no room there. To
// make a Buffer costs more than all the rest of telling one message.
Napi::Value IoThreadWrap::messagesValue(Napi::Env env, MessageBytes& messages, Bridge& bridge) {
  const size_t size = messages.size();
  // Asked for each time, as the rows are.
  const std::span<uint8_t> inbox =
      size == 0 ? std::span<uint8_t>() : bufferView(bridge.inbox.Value());
  if (size > inbox.size()) return lentSlab(env, messages, bridge.io->events().pool());
  if (size > 0) std::memcpy(inbox.data(), messages.view(0, size).data(), size);
  return Napi::Number::New(env, static_cast<double>(size));
}

// ---- endpoints ---------------------------------------------------------------------------------

Napi::Value IoThreadWrap::listen(const Napi::CallbackInfo& info) {
  auto options = serverOptions(info[2]);
  if (info.Env().IsExceptionPending()) return {};
  if (!options) return openedSocket(info.Env(), {.code = EINVAL, .call = "bind"}, {});
  auto context = contextOf(info[1], Transport::Dtls, Role::Server);
  const auto* const admission = context ? ownObject<AdmissionWrap>(info[3]) : nullptr;
  if (!admission) return {};
  options->speaks12 = context->speaks12();
  options->dtls13 = dtls13Of(info[1]);
  options->admission = admission->admission();
  options->evict_soon = [&target = io(), id = numberOf(info[0])] {
    target.post([id](IoThread& self) {
      ServerEndpoint* const found = self.server(id);
      if (!found) return;
      found->evict(self.now());
      self.touched(*found);
    });
  };
  if (!info[4].IsUndefined()) {
    const auto* const fleet = ownObject<FleetWrap>(info[4]);
    if (!fleet) return {};
    options->fleet = fleet->directory();
  }
  options->announce_soon = [&target = io(), id = numberOf(info[0])] {
    target.post([id](IoThread& self) {
      ServerEndpoint* const found = self.server(id);
      if (!found) return;
      found->announce(self.now());
      self.touched(*found);
    });
  };
  const Microseconds busy_poll = options->busy_poll;
  auto endpoint = std::make_unique<ServerEndpoint>(numberOf(info[0]), io().services(),
                                                   std::move(context), std::move(*options));
  endpoint->busy_poll = busy_poll;
  const SystemError error = endpoint->open();
  Napi::Object opened = openedSocket(info.Env(), error, endpoint->localAddress());
  opened.Set("balanced", endpoint->balanced());
  if (!error) {
    // Owned by the task until it runs: a thread that stops first drops it, socket and all.
    auto owned = std::make_shared<std::unique_ptr<ServerEndpoint>>(std::move(endpoint));
    io().post([owned](IoThread& self) { self.add(std::move(*owned)); });
  }
  return opened;
}

void IoThreadWrap::begin(const Napi::CallbackInfo& info) {
  io().post([id = numberOf(info[0])](IoThread& self) {
    ServerEndpoint* const found = self.server(id);
    if (!found) return;
    found->start();
    self.touched(*found);
  });
}

Napi::Value IoThreadWrap::connect(const Napi::CallbackInfo& info) {
  const auto context = contextOf(info[1], Transport::Dtls, Role::Client);
  if (!context) return {};
  SealFault fault = SealFault::None;
  auto options = clientOptions(info[2], *context, dtls13Of(info[1]), fault);
  if (info.Env().IsExceptionPending()) return {};
  if (fault != SealFault::None) {
    Napi::Object refused = Napi::Object::New(info.Env());
    refused.Set("refused", nameOf(fault));
    return refused;
  }
  if (!options) return openedSocket(info.Env(), {.code = EINVAL, .call = "connect"}, {});
  if ((!options->dtls13 || options->falls_back) && !options->other_keys.empty()) {
    Napi::TypeError::New(info.Env(), "mcbn addon: expected one credential, or DTLS 1.3 alone")
        .ThrowAsJavaScriptException();
    return {};
  }
  options->udp.slab = io().services().client_slab;
  const Microseconds busy_poll = options->busy_poll;
  auto endpoint = std::make_unique<ClientEndpoint>(numberOf(info[0]), io().services(), context,
                                                   std::move(*options));
  endpoint->busy_poll = busy_poll;
  const SystemError error = endpoint->open();
  const Address bound = endpoint->localAddress();
  if (!error) {
    io().services().client_slab = endpoint->slab();
    auto owned = std::make_shared<std::unique_ptr<ClientEndpoint>>(std::move(endpoint));
    io().post([owned](IoThread& self) {
      ClientEndpoint& added = **owned;
      self.add(std::move(*owned));
      added.start(self.now());
      self.touched(added);
    });
  }
  return openedSocket(info.Env(), error, bound);
}

void IoThreadWrap::closeEndpoint(const Napi::CallbackInfo& info) {
  const uint32_t id = numberOf(info[0]);
  const auto handover = isSecondOf(info[1], "goodbye", "handover");
  if (!handover) return;
  const auto goodbye = *handover ? Endpoint::Goodbye::No : Endpoint::Goodbye::Yes;
  io().call([id, goodbye](IoThread& self) {
    Endpoint* const endpoint = self.endpoint(id);
    if (!endpoint) return;
    self.sendEverything(*endpoint);
    endpoint->closeAll(goodbye);
    endpoint->flush();
    self.remove(id);
  });
}

// ---- sessions ----------------------------------------------------------------------------------

Napi::Value IoThreadWrap::frame(const Napi::CallbackInfo& info) {
  const size_t size = numberOf(info[0]);
  if (size == 0 || size > kLargestFrame || size % alignof(uint32_t) != 0) {
    Napi::RangeError::New(info.Env(), "mcbn addon: expected the size of a frame")
        .ThrowAsJavaScriptException();
    return {};
  }
  bridge_->frames.push_back({Frame(new uint8_t[size]()), size});
  auto* const owner = new Frame(bridge_->frames.back().bytes);
  return Napi::Buffer<uint8_t>::New(
      info.Env(), owner->get(), size, [](Napi::Env, uint8_t*, Frame* shared) { delete shared; },
      owner);
}

Napi::Value IoThreadWrap::submit(const Napi::CallbackInfo& info) {
  const size_t index = numberOf(info[0]);
  uint32_t number = 0;
  if (index < bridge_->frames.size()) {
    const auto& [bytes, size] = bridge_->frames[index];
    const MutableBytes rows(bytes.get(), std::min<size_t>(numberOf(info[1]), size));
    const bool copy = info[2].ToBoolean().Value();
    number = copy ? io().submitCopy(rows) : io().submit(rows);
  }
  return Napi::Number::New(info.Env(), number);
}

Napi::Value IoThreadWrap::released(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), io().released());
}

Napi::Value IoThreadWrap::progress(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), io().progress(numberOf(info[0])));
}

void IoThreadWrap::notifyAt(const Napi::CallbackInfo& info) {
  io().notifyAt(numberOf(info[0]), numberOf(info[1]));
}

// answer(endpoint, session, question, NativeAnswer)
void IoThreadWrap::answer(const Napi::CallbackInfo& info) {
  auto given = answerOf(info[3]);
  if (!given) return;
  std::optional<Failure> failure;
  if (given->failed) {
    failure = Failure{.code = "MCBN_LOOKUP_FAILED", .message = "the psk lookup failed"};
  }
  // Shared because a task is copied, and a key is not.
  auto answer = std::make_shared<PskAnswer>(std::move(given->answer));
  io().post([id = numberOf(info[0]), session = numberOf(info[1]), question = numberOf(info[2]),
             answer, failure](IoThread& self) {
    Endpoint* const endpoint = self.endpoint(id);
    if (!endpoint) return;
    endpoint->answer(session, question, std::move(*answer), failure, self.now());
    self.touched(*endpoint);
  });
}

void IoThreadWrap::closeSession(const Napi::CallbackInfo& info) {
  io().post([id = numberOf(info[0]), session = numberOf(info[1])](IoThread& self) {
    Endpoint* const endpoint = self.endpoint(id);
    if (!endpoint) return;
    self.sendEverything(*endpoint);
    endpoint->closeSession(session);
    self.touched(*endpoint);
  });
}

Napi::Value IoThreadWrap::endSessionsOf(const Napi::CallbackInfo& info) {
  size_t ended = 0;
  io().call([&, id = numberOf(info[0]), identity = bytesOf(info[1])](IoThread& self) {
    ServerEndpoint* const endpoint = self.server(id);
    if (!endpoint) return;
    ended = endpoint->endSessionsOf(
        identity, {.code = "MCBN_CONNECTION_LOST", .message = "the identity was revoked"});
    self.touched(*endpoint);
  });
  return Napi::Number::New(info.Env(), static_cast<double>(ended));
}

void IoThreadWrap::confirmAddress(const Napi::CallbackInfo& info) {
  io().post([id = numberOf(info[0]), session = numberOf(info[1]), host = bytesOf(info[2]),
             port = static_cast<uint16_t>(numberOf(info[3]))](IoThread& self) {
    ServerEndpoint* const endpoint = self.server(id);
    if (endpoint) endpoint->confirmAddress(session, host, port);
  });
}

void IoThreadWrap::setKeylog(const Napi::CallbackInfo& info) {
  io().post([id = numberOf(info[0]), on = info[1].ToBoolean().Value()](IoThread& self) {
    if (Endpoint* const endpoint = self.endpoint(id)) endpoint->setKeylog(on);
  });
}

void IoThreadWrap::ref(const Napi::CallbackInfo&) {
  if (!bridge_->closed) bridge_->summons->ref();
}

void IoThreadWrap::unref(const Napi::CallbackInfo&) {
  if (!bridge_->closed) bridge_->summons->unref();
}

void IoThreadWrap::stop(const Napi::CallbackInfo&) { close(); }

}  // namespace mcbn
