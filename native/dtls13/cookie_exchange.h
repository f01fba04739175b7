// cookie_exchange.h: whether a client receives at the address that it claims, without state.
//
//   ClientHello --take()--> HelloRetryRequest          nothing is stored
//   ClientHello + cookie --take()--> VerifiedHello     a session may begin
//
// cookie = suite || group || Hash(ClientHello1) || cookie of record/cookie.h, which covers the
// address, the client's random and what stands before it. The HelloRetryRequest is made again from
// it, so the transcript is whole although nobody kept it. It is shorter than three times the shortest
// hello with a key (RFC 9147 section 5.1).
//
// A hello in several records is the one thing that needs memory before the address is known: kSets times
// kWays hellos at a time, 4.7 MB, taken as they come and kept. A new one displaces the oldest of its set, and
// which addresses share a set strangers cannot know: at 30,000 of theirs a second a hello has 30 ms for the
// rest of it. What is whole needs none.
//
// Ownership   an endpoint has one; a VerifiedHello borrows until the next call.
// Thread      the endpoint's.
// Spec        RFC 9147 section 5.1, RFC 8446 sections 4.1.4, 4.2.2 and 4.4.1
#pragma once

#include <memory>
#include <vector>

#include "base/address_bytes.h"
#include "dtls13/record_frame.h"
#include "dtls13/settings.h"
#include "record/cookie.h"
#include "record/handshake_fragment.h"
#include "record/hash.h"
#include "record/message_assembler.h"

namespace mcbn::dtls13 {

// A ClientHello from an address that receives.
struct VerifiedHello {
  ByteView body;
  // What the cookie says; empty: there was no HelloRetryRequest.
  ByteView cookie, first_hash;
  uint16_t suite = 0, group = 0;
  uint16_t message_sequence = 0;
  uint64_t record_sequence = 0;  // of its last record: ours begin there
};

class CookieExchange {
 public:
  // `secretOrEmpty`: see Cookies.
  CookieExchange(std::shared_ptr<const Settings> settings, ByteView secretOrEmpty);
  CookieExchange(const CookieExchange&) = delete;
  CookieExchange& operator=(const CookieExchange&) = delete;

  // False when OpenSSL lacks what it needs: no cookie verifies then.
  bool usable();

  enum class Verdict : uint8_t {
    Ignored,   // no ClientHello, or not worth an answer
    Partial,   // a fragment; the rest must come
    Older,     // a ClientHello that does not offer DTLS 1.3
    Answer,    // answer() goes back to the sender
    Verified,  // hello() begins a session, or repeats what one has begun with
  };
  // A datagram from `address`. Its bytes stay as they are.
  Verdict take(ByteView address, MutableBytes datagram, uint64_t wall_seconds);
  ByteView answer() const { return ByteView(answer_).first(answer_size_); }
  // Whether that is an alert.
  bool refuses() const { return answer_size_ == kPlaintextHeaderBytes + 2; }
  // Whether that is because of the hello's cookie.
  bool refusesCookie() const { return bad_cookie_; }
  // After Verified; after Older its body and numbers only.
  const VerifiedHello& hello() const { return hello_; }
  // The answer of an owner that has nothing better after these two: an alert.
  ByteView refusal(uint8_t alert);

 private:
  static constexpr size_t kSets = 64, kWays = 16;
  static constexpr size_t kRecordBytes = kPlaintextHeaderBytes + kDtlsHandshakeHeaderBytes;

  struct Slot {
    AddressBytes address;
    uint16_t sequence = 0;  // of the message
    uint64_t used = 0;      // when, in fragments
    MessageAssembler message{kMaxClientHelloBytes};
  };

  Verdict judge(ByteView address, const ClientHello& hello, uint64_t wall_seconds);
  Verdict retry(ByteView address, const ClientHello& hello, uint64_t wall_seconds);
  Verdict verify(ByteView address, const ClientHello& hello, uint64_t wall_seconds);
  Verdict refuse(uint8_t alert);
  Slot& slotOf(ByteView address, uint16_t sequence);
  std::optional<Cookie> cookieOf(ByteView address, ByteView random, ByteView told,
                                 uint64_t wall_seconds, ByteView given);
  uint8_t* beginAnswer(uint8_t type, size_t content);

  const std::shared_ptr<const Settings> settings_;
  Cookies cookies_;
  // Kept: a stranger's hello costs two hashes, and no more.
  Hashing sha256_{PskHash::Sha256}, sha384_{PskHash::Sha384};
  std::vector<Slot> slots_;  // none before the first fragment
  uint64_t seed_ = 0;
  Slot* complete_ = nullptr;  // the slot that hello_ borrows from
  uint64_t fragments_ = 0;
  VerifiedHello hello_;
  std::array<uint8_t, kRecordBytes + kMostRetryBytes> answer_;
  size_t answer_size_ = 0;
  bool bad_cookie_ = false;
};

}  // namespace mcbn::dtls13
