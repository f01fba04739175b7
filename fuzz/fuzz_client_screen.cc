// The records of a server, in front of a client's OpenSSL.
#include <optional>

#include "screen_invariants.h"

using namespace mcbn;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::optional<Bytes> hint;
  driveScreen<ClientScreen>({data, size},
                            [&](const ClientScreen& screen, const DtlsRecord&, Verdict) {
                              const auto now = screen.hint();
                              require(!hint || now);
                              if (!now) return;
                              require(now->size() <= 256);
                              const Bytes copy(now->begin(), now->end());
                              require(!hint || *hint == copy);
                              hint = copy;
                            });
  return 0;
}
