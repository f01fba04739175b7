// endpoint_options.h: what listen() and connect() were given, as the engine has it.
//
// JavaScript has checked the options (src/dtls/options.ts); absent is an address that is none.
#pragma once

#include <napi.h>

#include <optional>

#include "engine/client_endpoint.h"
#include "engine/server_endpoint.h"

namespace mcbn {

std::optional<ServerOptions> serverOptions(const Napi::Object& given);
std::optional<ClientOptions> clientOptions(const Napi::Object& given);

}  // namespace mcbn
