// datagram_bio.h: the BIO between OpenSSL and one DTLS session: datagrams in memory, boundaries
// kept.
//
// BIO_s_mem() would join datagrams into a stream, BIO_s_dgram_mem() exists only from OpenSSL 3.2
// on. A read gives the one datagram (or record) that is offered, then says "retry"; a write hands
// one datagram to the sink.
//
// Ownership   the SSL owns the BIO, the BIO borrows the Wire, the session owns the Wire and
//             outlives both.
#pragma once

#include <openssl/bio.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace mcbn {

// What OpenSSL writes goes here: one call a datagram.
class DatagramSink {
 public:
  virtual void datagram(std::span<const uint8_t> bytes) = 0;

 protected:
  ~DatagramSink() = default;
};

struct Wire {
  std::span<const uint8_t> incoming;  // offered to the next read; borrowed
  DatagramSink* outgoing = nullptr;   // null: writes are dropped
  size_t mtu = 0;                     // bytes of UDP payload
};

// Null only when memory is out.
BIO* newDatagramBio(Wire* wire);

}  // namespace mcbn
