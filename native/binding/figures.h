// figures.h: statistics as JavaScript sees them; src/native/dtls.ts has their types.
#pragma once

#include <napi.h>

#include "engine/endpoint.h"

namespace mcbn {

// Of an endpoint's UDP socket, and what waits on its I/O thread for JavaScript.
struct UdpFigures {
  SocketFigures socket;
  size_t bytes_waiting = 0;
};

Napi::Object udpFigures(Napi::Env env, const UdpFigures& udp);
Napi::Object endpointFigures(Napi::Env env, const EndpointStats& stats);
// `undelivered`: messages that JavaScript did not take in time.
Napi::Object sessionFigures(Napi::Env env, const SessionStats& stats, uint64_t undelivered);

}  // namespace mcbn
