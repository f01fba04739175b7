// handshake_screen.h: what stands in front of OpenSSL during a DTLS 1.2 handshake.
//
//   record --inspect()--> Pass  feed record.whole to OpenSSL
//                         Hold  keep it (copied, in order); feed it, uninspected, after release()
//                         Drop  forget it; dropReason() says why
//
// Two jobs. *Protection*: OpenSSL keeps memory for whatever it cannot use yet (up to 1.3 MB of
// handshake fragments, and 16 KB for each record of the next epoch: CVE-2026-54874, open in
// Node 20), so only messages of a PSK handshake reach it, small, in bounded number, and no
// record that it would skip while we count it. *Patience*: a key may have to be looked up. The
// record that makes OpenSSL ask for the key is held until the caller has it; OpenSSL waits in
// memory as if the network were slow, and can be freed at any moment.
//
// After the handshake call established(), or stop asking: until then only kMaxUnprovenRecords
// encrypted records pass.
//
// Ownership   a screen per handshake. Held records are the caller's; the screen counts them.
// Thread      the caller's; no locks, no clock, no I/O.
// Spec        RFC 6347 sections 4.1 and 4.2, RFC 4279
#pragma once

#include <algorithm>
#include <array>
#include <optional>

#include "base/bytes.h"
#include "record/drop_reason.h"
#include "record/dtls_client_hello.h"
#include "record/dtls_record.h"
#include "record/handshake_fragment.h"
#include "record/message_assembler.h"

namespace mcbn {

enum class Verdict { Pass, Hold, Drop };

// A ClientKeyExchange with a 256-byte identity and an 8192-bit DH value has 1.3 KB.
constexpr size_t kMaxClientKeyExchangeBytes = 2048;
// The longest is a ServerKeyExchange with an 8192-bit DH group and a 256-byte hint: 2.4 KB.
constexpr size_t kMaxServerMessageBytes = 4096;
// Encrypted records that arrive before ChangeCipherSpec: a Finished that overtook it, repeated.
constexpr unsigned kMaxEarlyRecords = 3;
// Encrypted records before established(): OpenSSL sends its Finished 12 times at most.
constexpr unsigned kMaxUnprovenRecords = 16;
// What a caller has to keep between Hold and release().
constexpr unsigned kMaxHeldRecords = 16;
constexpr size_t kMaxHeldBytes = 8192;
// HelloVerifyRequests that a client follows at most: one, and some for a rotated secret.
constexpr unsigned kMaxHelloVerifyRequests = 4;

// What both sides' screens share: epochs, versions, repeats, and the bounds on what is kept.
// Numbers of records in the clear, exactly as they came: a window would be closed to all that follows
// by one forged record from far ahead.
class RecentRecords {
 public:
  bool seen(uint64_t sequence) const {
    const size_t kept = std::min(marked_, kKept);
    return std::find(recent_.begin(), recent_.begin() + kept, sequence) != recent_.begin() + kept;
  }
  void mark(uint64_t sequence) { recent_[marked_++ % kKept] = sequence; }

 private:
  static constexpr size_t kKept = 32;
  std::array<uint64_t, kKept> recent_;
  size_t marked_ = 0;
};

class HandshakeScreen {
 public:
  // Decides about the next record. A dropped record leaves no trace but in dropReason().
  Verdict inspect(const DtlsRecord& record);

  // The key is known: records pass again, and none is held any more. The caller feeds what it
  // kept first. Also ends the holding before it began, when no key has to be waited for.
  void release();
  // OpenSSL reports the handshake done: from now on every record of epochs 0 and 1 passes.
  void established() { established_ = true; }

  // Something was held and release() has not been called.
  bool holding() const { return holding_; }
  // Why the last record was dropped; None if it was not.
  DropReason dropReason() const { return dropReason_; }
  // The peer's ChangeCipherSpec has come (passed or held).
  bool changeCipherSpecSeen() const { return changeCipherSpec_; }
  // Time has passed: as many unproven records again, unless OpenSSL would keep them. Else a stranger
  // could use up what a late Finished needs.
  void refill() {
    if (changeCipherSpec_ && !holding_) unprovenRecords_ = 0;
  }

 protected:
  explicit HandshakeScreen(bool hold) : hold_(hold) {}
  ~HandshakeScreen() = default;

  // Judges the fragments of an epoch-0 handshake record; holds the one that makes OpenSSL ask for
  // the key.
  virtual Verdict inspectHandshake(const DtlsRecord& record) = 0;
  // Whether OpenSSL, fed what has passed, is at the point where it takes a ChangeCipherSpec.
  virtual bool expectsChangeCipherSpec() const = 0;
  // Whether all that follows the first held record is held as well.
  virtual bool holdsWhatFollows() const = 0;

  bool mayHold() const { return hold_; }
  // As if nothing had been held.
  void forgetHeld();
  // Counts what the caller has to keep; Drop when that is too much.
  Verdict hold(const DtlsRecord& record);
  Verdict drop(DropReason reason);

 private:
  Verdict inspectPlaintext(const DtlsRecord& record);
  Verdict inspectChangeCipherSpec(const DtlsRecord& record);
  Verdict inspectEncrypted(const DtlsRecord& record);

  bool hold_;
  bool holding_ = false;
  bool established_ = false;
  bool changeCipherSpec_ = false;
  unsigned earlyRecords_ = 0;
  unsigned unprovenRecords_ = 0;
  unsigned heldRecords_ = 0;
  size_t heldBytes_ = 0;
  DropReason dropReason_ = DropReason::None;
  RecentRecords plaintextRecords_;
};

// In front of a server's OpenSSL. Feed it every record of the handshake, the ClientHello with the
// cookie first.
class ServerScreen final : public HandshakeScreen {
 public:
  // `holdKeyExchange`: hold the record that completes the ClientKeyExchange, and what follows,
  // until release(). Without it identity() is known all the same.
  explicit ServerScreen(bool holdKeyExchange) : HandshakeScreen(holdKeyExchange) {}

  // The psk_identity as sent, NUL bytes included: once the ClientKeyExchange is complete. A
  // malformed one has none and is not held: OpenSSL answers it with decode_error.
  std::optional<ByteView> identity() const;
  bool keyExchangeComplete() const { return seen_.keyExchange.complete(); }
  // What is held was as good as lost: the caller forgets it, and the client sends its flight again.
  void forgetKeyExchange();

 private:
  struct Seen {
    std::optional<uint16_t> helloSequence;  // message_seq of the ClientHello
    uint32_t helloLength = 0;
    MessageAssembler keyExchange{kMaxClientKeyExchangeBytes};
  };

  Verdict inspectHandshake(const DtlsRecord& record) override;
  bool expectsChangeCipherSpec() const override { return keyExchangeComplete(); }
  bool holdsWhatFollows() const override { return true; }

  DropReason takeAll(const DtlsRecord& record);
  DropReason takeClientHello(const HandshakeFragment& fragment);
  DropReason takeClientKeyExchange(const HandshakeFragment& fragment, uint16_t version);

  Seen seen_;
};

// In front of a client's OpenSSL.
class ClientScreen final : public HandshakeScreen {
 public:
  // `holdHelloDone`: hold the ServerHelloDone until release().
  explicit ClientScreen(bool holdHelloDone) : HandshakeScreen(holdHelloDone) {}

  // The caller passes HelloVerifyRequests only that answer its hellos for certain. Otherwise one is followed:
  // it may be the server's, and a second would lead away from it.
  void followSeveral() { mostVerifyRequests_ = kMaxHelloVerifyRequests; }
  // One more is followed: what was said with the last cookie has no answer.
  void followAnother() {
    mostVerifyRequests_ = std::min(seen_.verifyRequests + 1, kMaxHelloVerifyRequests);
  }

  bool followedCookie() const { return seen_.verifyRequests > 0; }
  bool serverHelloSeen() const { return seen_.serverHello; }
  // A HelloVerifyRequest has been followed, and the ServerHello has not come yet.
  bool awaitsServerHello() const { return followedCookie() && !seen_.serverHello; }
  // The record just dropped was another HelloVerifyRequest, with another cookie than the one that was
  // followed: one of the two is not the server's, or has expired.
  bool otherCookie() const { return otherCookie_; }

  // The psk_identity_hint, empty if the server gives none: once the ServerHelloDone has come and
  // it is certain that no ServerKeyExchange is still on its way. With holdHelloDone the caller
  // asks for it after every record while holding(): fragments may arrive in any order. A
  // malformed hint counts as none: OpenSSL answers it with an alert.
  std::optional<ByteView> hint() const;

 private:
  struct Seen {
    uint16_t helloSequence = 0;  // message_seq the ServerHello has or must have
    bool serverHello = false;
    unsigned verifyRequests = 0;
    Bytes cookie;                          // that was followed
    std::optional<uint16_t> doneSequence;  // message_seq of the ServerHelloDone
    MessageAssembler keyExchange{kMaxServerMessageBytes};
  };

  Verdict inspectHandshake(const DtlsRecord& record) override;
  bool expectsChangeCipherSpec() const override { return seen_.doneSequence && !holding(); }
  bool holdsWhatFollows() const override { return false; }
  // Anything of the server's flight has come, or of what looks like it.
  bool flightBegun() const {
    return seen_.serverHello || seen_.keyExchange.started() || seen_.doneSequence.has_value();
  }

  DropReason takeAll(const DtlsRecord& record);
  DropReason take(const HandshakeFragment& fragment, uint16_t version);
  DropReason takeHelloVerifyRequest(const HandshakeFragment& fragment);
  DropReason takeServerHello(const HandshakeFragment& fragment);
  DropReason takeServerKeyExchange(const HandshakeFragment& fragment);
  DropReason takeServerHelloDone(const HandshakeFragment& fragment);
  Seen seen_;
  unsigned mostVerifyRequests_ = 1;
  bool otherCookie_ = false;
};

}  // namespace mcbn
