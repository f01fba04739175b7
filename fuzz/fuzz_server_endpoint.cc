// A server's endpoint, whole: strangers, clients with and without the key, a hostile network.
#include "support/world.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mcbn::World({.strangers = true, .server = true, .clients = 2}, {data, size}).run();
  return 0;
}
