// Clients and their server joined by a network that loses, doubles, delays and damages.
#include "support/world.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mcbn::World({.strangers = false, .server = true, .clients = 3}, {data, size}).run();
  return 0;
}
