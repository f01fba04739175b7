// opened_hellos.h: hellos whose handshakes have opened a session. They begin no other, though their
// cookies are good for minutes: somebody on the path may have kept one, and devices keep their ports, so
// a copy of it would take the place of the next handshake from there.
//
// A table of a fixed size: a hello whose place another one takes is forgotten, and so may be sent by
// others again. Which share a place strangers cannot know.
//
// Memory      none before the first session; then 64 KB.
// Ownership   a ServerEndpoint's.
// Thread      the I/O thread.
// Spec        RFC 6347 sections 4.2.1 and 4.2.8
#pragma once

#include <vector>

#include "record/cookie.h"

namespace mcbn {

class OpenedHellos {
 public:
  explicit OpenedHellos(ByteView cookie_secret) : marks_(cookie_secret) {}

  void remember(ByteView address, ByteView random, uint64_t wall_seconds) {
    if (places_.empty()) places_.resize(kPlaces);
    const uint64_t mark = markOf(address, random, wall_seconds);
    places_[mark % kPlaces] = mark;
  }
  // For as long as a cookie lasts, or for less.
  bool has(ByteView address, ByteView random, uint64_t wall_seconds) {
    if (places_.empty()) return false;
    const auto there = [&](uint64_t mark) { return mark != 0 && places_[mark % kPlaces] == mark; };
    return there(markOf(address, random, wall_seconds)) ||
           there(markOf(address, random, wall_seconds - kCookieWindowSeconds));
  }

 private:
  static constexpr size_t kPlaces = 8'192;

  // As a cookie for it, of no version that a hello has.
  uint64_t markOf(ByteView address, ByteView random, uint64_t wall_seconds) {
    DtlsClientHello hello;
    hello.clientVersion = 0;
    hello.random = random;
    const Cookie cookie = marks_.make(address, hello, wall_seconds);
    uint64_t mark = 0;
    const bool read = Reader(ByteView(cookie).last(sizeof mark)).u64(mark);
    return read ? mark : 0;
  }

  Cookies marks_;
  std::vector<uint64_t> places_;
};

}  // namespace mcbn
