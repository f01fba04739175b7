// version_choice.h: which answers are for which of a client's two handshakes, and when there is a second.
//
//   DTLS 1.3's ClientHello --> an answer of DTLS 1.3        goes on
//                          `-> one that only DTLS 1.2 gives, or none --> OpenSSL's ClientHello of DTLS 1.2,
//                                                                       with TLS_FALLBACK_SCSV, beside it
//
// Both go on until one of them is open, which takes the pre-shared key. Until then everything comes from
// anybody: a forged HelloVerifyRequest or alert only begins a second handshake, which a server of both
// versions refuses (RFC 7507 section 3), and the first one opens. DTLS 1.2's hello is OpenSSL's, so it cannot be
// the same message as ours of DTLS 1.3; that has no suites of DTLS 1.2, or a server without cookies
// would keep a handshake that nobody goes on with.
//
// Rules only: no session, no socket, no clock.
//
// Ownership   a ClientEndpoint has one while it chooses.
// Thread      the I/O thread.
// Spec        RFC 7507 section 4, RFC 8446 section 4.1.3, RFC 9147 section 5.1
#pragma once

#include <optional>

#include "base/bytes.h"
#include "session/failure.h"

namespace mcbn {

class VersionChoice {
 public:
  enum class For : uint8_t { Newer, Older, Both };

  // Whom a datagram of the server's, or of somebody in its name, is for.
  For route(ByteView datagram);
  // DTLS 1.3's handshake has sent a flight again so many times.
  void repeated(uint64_t times);

  // Whether DTLS 1.2 is to be tried; once.
  bool wantsOlder() const { return wants_older_ && !older_begun_; }
  void olderBegins() { older_begun_ = true; }

  // A handshake has failed. What all of it failed with, if nothing is left to wait for.
  std::optional<Failure> newerFailed(Failure failure);
  std::optional<Failure> olderFailed(Failure failure);

 private:
  For routeHandshake(ByteView message);
  For routeAlert(ByteView alert);
  Failure outcome() const;

  bool wants_older_ = false;
  bool older_begun_ = false;
  bool heard_newer_ = false;    // a ServerHello or HelloRetryRequest of DTLS 1.3, from anybody
  bool heard_older_ = false;    // what only DTLS 1.2 says, the same
  For hello_for_ = For::Newer;  // the last ServerHello, whose further fragments do not tell
  std::optional<Failure> newer_, older_;
};

}  // namespace mcbn
