// dtls13_exchange.h: whether messages pass between the two sides of a Pair13.
#pragma once

#include <doctest/doctest.h>

#include "dtls13_pair.h"

namespace mcbn::dtls13 {

// A message each way, in an open pair.
inline void exchangeMessages(Pair13& pair) {
  const Bytes up = wire::text("up"), down = wire::text("down");
  pair.at_client.messages.clear();
  pair.at_server.messages.clear();
  REQUIRE(pair.client->send(up, pair.now, pair.at_client));
  REQUIRE(pair.server->send(down, pair.now, pair.at_server));
  pair.drain();
  CHECK(pair.at_server.messages == std::vector<Bytes>{up});
  CHECK(pair.at_client.messages == std::vector<Bytes>{down});
}

}  // namespace mcbn::dtls13
