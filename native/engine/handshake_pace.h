// handshake_pace.h: how often one address and port may begin a handshake that comes to nothing: twice
// at once, then once a second.
//
// A handshake costs a key exchange, a lookup and a flight of answers, and a client that starts over
// takes the place that it has: no limit of numbers holds back two hellos sent in turn, nor one hello
// whose cookie is good for minutes, sent again and again in the name of its address.
//
// A table of a fixed size: an address whose place another one takes is forgotten, which lets it begin
// twice more. Where its place is, strangers cannot know.
//
// Ownership   a ServerEndpoint's.
// Thread      the I/O thread.
#pragma once

#include <openssl/rand.h>

#include <cstdint>
#include <vector>

#include "base/time.h"
#include "datagram/address.h"

namespace mcbn {

class HandshakePace {
 public:
  HandshakePace() { RAND_bytes(reinterpret_cast<unsigned char*>(&seed_), sizeof seed_); }

  bool allows(const Address& address, Milliseconds now) {
    const size_t hash = hashOf(address);
    const Place& place = places_[hash % kPlaces];
    return place.hash != hash || place.idle_at <= now + kInterval;
  }
  void begun(const Address& address, Milliseconds now) {
    const size_t hash = hashOf(address);
    Place& place = places_[hash % kPlaces];
    const bool known = place.hash == hash && place.idle_at > now;
    place = {hash, (known ? place.idle_at : now) + kInterval};
  }
  // The address has proved a key.
  void proved(const Address& address) {
    const size_t hash = hashOf(address);
    Place& place = places_[hash % kPlaces];
    if (place.hash == hash) place = {};
  }

 private:
  static constexpr Milliseconds kInterval = 1'000;
  static constexpr size_t kPlaces = 4'096;
  struct Place {
    size_t hash = 0;
    Milliseconds idle_at = 0;  // as if it had never begun one
  };

  size_t hashOf(const Address& address) const {
    const uint64_t mixed = (address.hash() ^ seed_) * 0x9e3779b97f4a7c15ULL;
    return static_cast<size_t>(mixed ^ (mixed >> 32));
  }

  size_t seed_ = 0;
  std::vector<Place> places_{kPlaces};
};

}  // namespace mcbn
