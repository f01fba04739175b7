// endpoint_options.h: what listen() and connect() were given, as the engine has it.
//
// JavaScript has checked the options (src/dtls/options.ts). nullopt: an address is invalid, or a
// JavaScript exception is pending because the two sides do not know the same fields.
#pragma once

#include <napi.h>

#include <optional>

#include "engine/client_endpoint.h"
#include "engine/server_endpoint.h"

namespace mcbn {

std::optional<ServerOptions> serverOptions(const Napi::Value& given);
// `resumed`, a sealed session to go on with instead of a handshake, is opened and used up; `fault`
// says why it was refused. Its address counts where none is given.
std::optional<ClientOptions> clientOptions(const Napi::Value& given, const Context& context,
                                           std::shared_ptr<const dtls13::Settings> newer,
                                           SealFault& fault);

}  // namespace mcbn
