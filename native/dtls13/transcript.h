// transcript.h: the messages of a handshake as its hashes cover them: with the header of TLS, without
// DTLS's fields (RFC 9147 section 5.2).
//
// Ownership   keeps a copy of the messages, a few hundred bytes, until the handshake is done.
// Thread      the session's.
// Spec        RFC 8446 sections 4.4.1 (hash, message_hash) and 4.2.11.2 (binders)
#pragma once

#include <array>

#include "dtls13/handshake_messages.h"
#include "dtls13/hkdf.h"

namespace mcbn::dtls13 {

class Transcript {
 public:
  explicit Transcript(PskHash hash) : hash_(hash) {}

  PskHash kind() const { return hash_; }
  void add(uint8_t type, ByteView body) { Writer(bytes_).u8(type).u24(body.size()).bytes(body); }
  // What was there, one ClientHello, is now its hash: a HelloRetryRequest follows. `first`: that
  // hash.
  void restart(ByteView first) {
    bytes_.clear();
    add(message_type::kMessageHash, first);
  }
  // Empty when OpenSSL refused.
  Bytes hash() const { return digestOf(hash_, {bytes_}); }
  // As if the first bytes of this ClientHello were behind it, and its header as it is.
  Bytes hashUpTo(ByteView hello, size_t bytes) const {
    std::array<uint8_t, 4> header;
    putBigEndian(header.data(), uint64_t{message_type::kClientHello} << 24 | hello.size(), 4);
    return digestOf(hash_, {bytes_, header, hello.first(bytes)});
  }

 private:
  PskHash hash_;
  Bytes bytes_;
};

}  // namespace mcbn::dtls13
