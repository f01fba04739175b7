// endpoints_echo.h: whether messages pass between a server's endpoint and a client's.
#pragma once

#include "endpoints.h"

namespace mcbn {

constexpr uint32_t kServer = Endpoints::kServer;

// The client opens, and messages get there and back.
inline uint32_t openAndEcho(Endpoints& world, const Dialled& how = {}) {
  const size_t before = world.at(kServer).opened.size();
  const uint32_t client = world.dial(how);
  world.run([&] { return world.opened(client, before + 1); });
  REQUIRE(world.opened(client, before + 1));
  const size_t heard = world.at(kServer).messages.size();
  world.send(client, {"one", "two"});
  world.run(0);
  REQUIRE(world.at(kServer).messages.size() == heard + 2);
  CHECK(world.at(kServer).messages[heard] == "one");
  world.send(kServer, world.session(), {"three"});
  world.run(0);
  CHECK(world.at(client).messages == std::vector<std::string>{"three"});
  return client;
}

}  // namespace mcbn
