// wire.h: builds the bytes that tests feed: records, handshake messages, hellos. Independent of the
// code under test except for Writer.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <random>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "record/dtls_record.h"

namespace mcbn::wire {

inline Bytes text(std::string_view value) { return Bytes(value.begin(), value.end()); }

inline Bytes fromHex(std::string_view hex) {
  Bytes out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<uint8_t>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return out;
}

inline Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes out;
  for (const Bytes& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

// A DTLS record.
inline Bytes record(uint8_t type, uint16_t epoch, uint64_t sequence, ByteView fragment,
                    uint16_t version = kDtls12) {
  Bytes out;
  Writer(out).u8(type).u16(version).u16(epoch).u48(sequence).u16(fragment.size()).bytes(fragment);
  return out;
}

// One fragment of a DTLS handshake message: `size` bytes of `body` from `offset` on.
inline Bytes fragment(uint8_t type, uint16_t messageSequence, ByteView body, size_t offset,
                      size_t size) {
  Bytes out;
  Writer(out).u8(type).u24(body.size()).u16(messageSequence).u24(offset).u24(size);
  Writer(out).bytes(body.subspan(offset, size));
  return out;
}

inline Bytes message(uint8_t type, uint16_t messageSequence, ByteView body) {
  return fragment(type, messageSequence, body, 0, body.size());
}

struct HelloParts {
  uint16_t version = kDtls12;
  Bytes random = Bytes(32, 0x11);
  Bytes sessionId;
  Bytes cookie;
  Bytes extensions = {0, 0x17, 0, 0};  // extended_master_secret
};

inline Bytes clientHelloBody(const HelloParts& parts = {}) {
  Bytes out;
  Writer writer(out);
  writer.u16(parts.version).bytes(parts.random);
  writer.u8(parts.sessionId.size()).bytes(parts.sessionId);
  writer.u8(parts.cookie.size()).bytes(parts.cookie);
  writer.u16(2).u16(0xC0A8);  // TLS_PSK_WITH_AES_128_CCM_8
  writer.u8(1).u8(0);
  writer.u16(parts.extensions.size()).bytes(parts.extensions);
  return out;
}

inline Bytes clientHello(const HelloParts& parts = {}, uint16_t messageSequence = 0,
                         uint64_t recordSequence = 0) {
  const Bytes body = clientHelloBody(parts);
  return record(content_type::kHandshake, 0, recordSequence,
                message(handshake_type::kClientHello, messageSequence, body), kDtls10);
}

// psk_identity or psk_identity_hint alone: the key exchange of plain PSK.
inline Bytes pskBody(ByteView identity) {
  Bytes out;
  Writer(out).u16(identity.size()).bytes(identity);
  return out;
}

// Deterministic noise.
class Noise {
 public:
  explicit Noise(uint32_t seed) : engine_(seed) {}
  size_t below(size_t limit) { return engine_() % limit; }
  Bytes bytes(size_t count) {
    Bytes out(count);
    for (uint8_t& byte : out) byte = static_cast<uint8_t>(engine_());
    return out;
  }
  // Changes, cuts or lengthens: mostly still recognisable as what it was.
  Bytes damaged(Bytes bytes) {
    for (size_t i = below(4) + 1; i > 0 && !bytes.empty(); i--) {
      bytes[below(bytes.size())] = static_cast<uint8_t>(engine_());
    }
    if (below(4) == 0) bytes.resize(below(bytes.size() + 1));
    if (below(4) == 0) bytes.push_back(static_cast<uint8_t>(engine_()));
    return bytes;
  }

 private:
  std::mt19937 engine_;
};

// A copy on the heap of exactly these bytes: reading one beyond is found by ASan.
class Exact {
 public:
  explicit Exact(ByteView bytes) : size_(bytes.size()), data_(new uint8_t[bytes.size()]) {
    std::copy(bytes.begin(), bytes.end(), data_);
  }
  ~Exact() { delete[] data_; }
  Exact(const Exact&) = delete;
  Exact& operator=(const Exact&) = delete;
  ByteView view() const { return {data_, size_}; }

 private:
  size_t size_;
  uint8_t* data_;
};

}  // namespace mcbn::wire
