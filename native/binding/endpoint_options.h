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
// `session`: to go on with instead of a handshake; its address counts where none is given.
std::optional<ClientOptions> clientOptions(const Napi::Object& given,
                                           std::optional<PortableSession> session);
// Opens a client's sealed session for `identity` (empty: any), and uses it up.
SealFault takeSealed(ByteView sealed, ByteView key, const Identity& identity,
                     const Context& context, std::optional<PortableSession>& session);

}  // namespace mcbn
