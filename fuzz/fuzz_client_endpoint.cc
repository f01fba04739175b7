// A client's endpoint, whole, and no server: the input is all that answers.
#include "support/world.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mcbn::World({.strangers = true, .server = false, .clients = 1}, {data, size}).run();
  return 0;
}
