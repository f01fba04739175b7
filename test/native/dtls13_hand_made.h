// dtls13_hand_made.h: pairs with short timers, and what peers that break the rules say to them.
#pragma once

#include <doctest/doctest.h>

#include "dtls13_exchange.h"

namespace mcbn::dtls13 {

inline DtlsOptions brisk() { return dtlsOptions(1'200, 4'000, 250); }
inline Pair13Options plain() {
  return {.client_modes = kPskKe, .server_modes = kPskKe, .dtls = brisk()};
}

inline const std::vector<Milliseconds> kAtOnce{0};

struct Hello {
  uint16_t suite = 0x1301;
  std::optional<uint16_t> group = {};
  uint16_t psk = 0;
  std::optional<ByteView> connection_id = {};
  bool return_routability = false;
};

inline Bytes serverHello(const Hello& hello) {
  const Bytes random(32, 0x5E), share(32, 9);
  const ServerHelloFields fields{.random = random,
                                 .suite = hello.suite,
                                 .group = hello.group,
                                 .share = share,
                                 .psk = hello.psk,
                                 .connection_id = hello.connection_id,
                                 .return_routability = hello.return_routability};
  Bytes body;
  writeServerHello(fields, body);
  return body;
}

inline Bytes retryRequest(uint16_t suite, uint16_t group, const Bytes& cookie) {
  Bytes body(kMostRetryBytes);
  body.resize(writeHelloRetryRequest(suite, group, cookie, body.data()));
  return body;
}

// Handshake messages under somebody's keys, in records whose numbers that one has not used.
class Voice {
 public:
  Voice(uint64_t epoch, const Suite& suite, const Secret& secret) : epoch_(epoch) {
    REQUIRE(records_.startWriting(epoch, suite, secret));
    for (unsigned number = 0; number < kUsed; ++number) says({});
  }
  // Of an open session.
  explicit Voice(const Dtls13Session& speaker)
      : Voice(3, *speaker.association()->agreed().suite, speaker.association()->agreed().write) {}

  Bytes says(const Bytes& message) {
    Bytes datagram;
    REQUIRE(records_.seal(epoch_, 22, message, datagram));
    return datagram;
  }

 private:
  static constexpr unsigned kUsed = 40;  // more than a short session uses

  uint64_t epoch_;
  Records records_;
};

}  // namespace mcbn::dtls13
