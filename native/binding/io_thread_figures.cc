// What an I/O thread counts: endpointStats, sessionStats and udpStats of `IoThread` in src/native/dtls.ts.
#include "binding/convert.h"
#include "binding/figures.h"
#include "binding/io_thread_wrap.h"

namespace mcbn {

Napi::Value IoThreadWrap::endpointStats(const Napi::CallbackInfo& info) {
  EndpointStats stats;
  std::optional<UdpFigures> udp;
  io().call([&, id = numberOf(info[0])](IoThread& self) {
    const Endpoint* const endpoint = self.endpoint(id);
    if (!endpoint) return;
    stats = endpoint->stats();
    udp = UdpFigures{endpoint->socketFigures(), self.events().waitingBytes()};
  });
  if (!udp) return info.Env().Null();
  Napi::Object object = endpointFigures(info.Env(), stats);
  object.Set("udp", udpFigures(info.Env(), *udp));
  return object;
}

Napi::Value IoThreadWrap::sessionStats(const Napi::CallbackInfo& info) {
  SessionStats stats;
  std::optional<uint64_t> undelivered;
  io().call([&, id = numberOf(info[0]), session = numberOf(info[1])](IoThread& self) {
    Endpoint* const endpoint = self.endpoint(id);
    const Association* const association = endpoint ? endpoint->find(session) : nullptr;
    if (!association) return;
    stats = association->session.stats();
    undelivered = association->undelivered;
  });
  if (!undelivered) return info.Env().Null();
  return sessionFigures(info.Env(), stats, *undelivered);
}

Napi::Value IoThreadWrap::udpStats(const Napi::CallbackInfo& info) {
  std::optional<UdpFigures> udp;
  io().call([&, id = numberOf(info[0])](IoThread& self) {
    if (const Endpoint* const endpoint = self.endpoint(id)) {
      udp = UdpFigures{endpoint->socketFigures(), self.events().waitingBytes()};
    }
  });
  return udp ? udpFigures(info.Env(), *udp) : info.Env().Null();
}

}  // namespace mcbn
