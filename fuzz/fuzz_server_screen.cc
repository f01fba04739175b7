// The records of a client, in front of a server's OpenSSL.
#include <optional>

#include "screen_invariants.h"

using namespace mcbn;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::optional<Bytes> identity;
  driveScreen<ServerScreen>(
      {data, size}, [&](const ServerScreen& screen, const DtlsRecord&, Verdict) {
        // OpenSSL has no key exchange before it is complete, and never another one after.
        require(!screen.changeCipherSpecSeen() || screen.keyExchangeComplete());
        const auto now = screen.identity();
        require(!identity || now);
        if (!now) return;
        require(now->size() <= 256);
        const Bytes copy(now->begin(), now->end());
        require(!identity || *identity == copy);
        identity = copy;
      });
  return 0;
}
