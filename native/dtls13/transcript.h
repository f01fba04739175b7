// transcript.h: the messages of a handshake as its hashes cover them: with the header of TLS, without
// DTLS's fields (RFC 9147 section 5.2).
//
// Ownership   keeps a hash that goes on, no messages.
// Thread      the session's.
// Spec        RFC 8446 sections 4.4.1 (hash, message_hash) and 4.2.11.2 (binders)
#pragma once

#include "dtls13/handshake_messages.h"
#include "record/hash.h"

namespace mcbn::dtls13 {

class Transcript {
 public:
  explicit Transcript(PskHash hash) : hash_(hash), all_(hash), work_(hash) {
    sound_ = all_.begin();
  }

  void add(uint8_t type, ByteView body) { sound_ = sound_ && addTo(all_, type, body.size(), body); }
  // What was there, one ClientHello, is now its hash: a HelloRetryRequest follows. `first`: that
  // hash.
  void restart(ByteView first) {
    sound_ = all_.begin();
    add(message_type::kMessageHash, first);
  }
  // Empty when OpenSSL refused, now or before.
  HashValue hash() const {
    return {hash_, [&](uint8_t* out) { return goOn() && work_.end(out); }};
  }
  // As if the first bytes of this ClientHello were behind it, and its header as it is.
  HashValue hashUpTo(ByteView hello, size_t bytes) const {
    return {hash_, [&](uint8_t* out) {
              return goOn() &&
                     addTo(work_, message_type::kClientHello, hello.size(), hello.first(bytes)) &&
                     work_.end(out);
            }};
  }

 private:
  bool goOn() const { return sound_ && work_.beginAs(all_); }
  static bool addTo(Hashing& hashing, uint8_t type, size_t size, ByteView body) {
    std::array<uint8_t, 4> header;
    putBigEndian(header.data(), uint64_t{type} << 24 | size, header.size());
    return hashing.add(header) && hashing.add(body);
  }

  PskHash hash_;
  Hashing all_;
  mutable Hashing work_;
  bool sound_;
};

}  // namespace mcbn::dtls13
