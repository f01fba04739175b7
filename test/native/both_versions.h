// both_versions.h: what tests of a client of both versions of DTLS share.
#pragma once

#include "endpoints_echo.h"
#include "record/downgrade.h"
#include "wire.h"

namespace mcbn {

inline const Dialled kBoth{.both = true};

inline std::vector<Bytes> only(Bytes datagram) {
  std::vector<Bytes> all;
  all.push_back(std::move(datagram));
  return all;
}

inline bool isHello(const Bytes& datagram) {
  return datagram[0] == content_type::kHandshake &&
         datagram[kDtlsRecordHeaderBytes] == handshake_type::kClientHello;
}

inline uint64_t numberIn(const Bytes& datagram) {
  ByteView rest = datagram;
  const auto record = nextRecord(rest);
  return record ? record->sequence : 0;
}

// The attempt at DTLS 1.2 has record numbers from 2^16 on.
inline bool isOlder(const Bytes& datagram) { return numberIn(datagram) >> 16 != 0; }

inline Bytes verifyRequest(uint64_t number, uint16_t sequence = 0) {
  const Bytes body = wire::joined({{0xfe, 0xff, 32}, Bytes(32, 0x77)});
  return wire::record(content_type::kHandshake, 0, number,
                      wire::message(handshake_type::kHelloVerifyRequest, sequence, body));
}

inline Bytes olderHello(ByteView random, uint16_t sequence = 0) {
  Bytes body;
  Writer(body).u16(kDtls12).bytes(random).u8(0).u16(0x00a8).u8(0);
  return wire::record(content_type::kHandshake, 0, 0,
                      wire::message(handshake_type::kServerHello, sequence, body));
}

inline Protocol protocolOf(const Endpoints& world, uint32_t client) {
  REQUIRE(world.at(client).opened.size() == 1);
  return world.at(client).opened[0].second.opened.protocol;
}

inline EndpointsOptions serving(bool older, bool newer) {
  EndpointsOptions options;
  options.speaks12 = older;
  options.speaks13 = newer;
  return options;
}

// Hides TLS_FALLBACK_SCSV from a server: another suite stands in its place.
inline Bytes withoutScsv(Bytes datagram) {
  size_t at =
      kDtlsRecordHeaderBytes + kDtlsHandshakeHeaderBytes + 2 + 32;    // behind version and random
  for (int vector = 0; vector < 2; ++vector) at += 1 + datagram[at];  // session ID and cookie
  const size_t end = at + 2 + (datagram[at] << 8 | datagram[at + 1]);
  for (at += 2; at + 1 < end; at += 2) {
    if ((datagram[at] << 8 | datagram[at + 1]) != kFallbackScsv) continue;
    datagram[at] = 0xc0;
    datagram[at + 1] = 0xb0;
  }
  return datagram;
}

}  // namespace mcbn
