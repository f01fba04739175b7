// stream_screen.h: what stands in front of OpenSSL during a handshake over TCP.
//
//   received bytes, appended by the caller --pass()--> how many of the first may go to OpenSSL
//
// Protection: a handshake message that announces more than 16 KB is refused before OpenSSL
// allocates for it ("HollowByte", open in Node 20); a ClientHello may have more, for the long
// identities of TLS 1.3, but goes to OpenSSL only once all of it has come. Patience, for TLS 1.2:
// the record that makes OpenSSL ask for a key is held until the key is known. On a server that is
// the one that completes the ClientKeyExchange, on a client the one that completes the
// ServerHelloDone. TLS 1.3 is held by OpenSSL's client_hello callback, not here; its records pass.
//
// When the bytes pass unseen for good: after release(), after established(), at the
// ChangeCipherSpec behind the key exchange (TLS 1.2), and on a client at the first application_data
// record (TLS 1.3). Not earlier: a server that has asked for another ClientHello gets it in the
// clear after a ChangeCipherSpec, and after early data that it skips, and a warning alert may stand
// between two fragments of a ClientKeyExchange. A TLS 1.3 server therefore calls established()
// when OpenSSL reports the handshake done; until then each record is only framed.
// TLS 1.2 resumption would need a change here: it has no key exchange. mcbn keeps it off.
//
// Ownership   the caller owns the bytes, and removes the passed ones before it asks again. It
//             never keeps more than one record plus what it just received: whole records
//             pass or are held, and while holding() it should stop reading from the peer.
// Thread      the caller's; no locks, no clock, no I/O.
// Spec        RFC 5246 sections 6.2.1 and 7.4, RFC 8446 section 5.1, RFC 4279
#pragma once

#include <optional>

#include "base/bytes.h"
#include "record/message_assembler.h"

namespace mcbn {

constexpr size_t kTlsRecordHeaderBytes = 5;
// RFC 5246 section 6.2.1: plaintext records carry at most 2^14 bytes.
constexpr size_t kMaxPlaintextBytes = 16384;
constexpr size_t kMaxTlsMessageBytes = 16384;
// An identity may have 64,000 bytes (kMaxIdentityLength13), the rest of the hello fits beside it.
constexpr size_t kMaxTlsClientHelloBytes = 72 * 1024;
// A key exchange message: an 8192-bit DH group with a 256-byte hint has 2.4 KB.
constexpr size_t kMaxTlsKeyExchangeBytes = 4096;

class StreamScreen {
 public:
  enum class Role { Server, Client };
  enum class State {
    Screening,    // looking at records; what did not pass waits for more bytes
    Holding,      // nothing passes until release()
    Transparent,  // everything passes, for good
    Refused,      // nothing passes any more: end the connection; refusal() says why
  };
  enum class Refusal {
    None,
    NotTls,         // no TLS record header: another protocol, or SSLv2
    RecordLength,   // a record over its limit, or a handshake record without content
    MessageLength,  // a handshake message that announces more than its limit
  };

  // `hold`: whether to hold at all; without it identity() and hint() are known all the same.
  StreamScreen(Role role, bool hold) : role_(role), hold_(hold) {}

  // How many of `buffered`'s first bytes may go to OpenSSL now; the caller passes exactly these
  // on and removes them. `buffered` begins where the passed bytes ended, and only grows.
  size_t pass(ByteView buffered);

  State state() const { return state_; }
  bool holding() const { return state_ == State::Holding; }
  Refusal refusal() const { return refusal_; }

  // The key is known (or never will be): transparent from now on. Call pass() again.
  void release();
  // OpenSSL reports the handshake done: transparent from now on.
  void established() { release(); }

  // Server: psk_identity as sent, NUL bytes included, once the ClientKeyExchange is complete. A
  // malformed one has none and is not held: OpenSSL answers it with decode_error.
  std::optional<ByteView> identity() const;
  // Client: psk_identity_hint once the ServerHelloDone has come; empty if the server gives none.
  std::optional<ByteView> hint() const;

 private:
  bool inspectRecord(uint8_t type, ByteView fragment);
  bool inspectHandshake(ByteView fragment);
  bool beginMessage();
  bool endMessage();
  bool refuse(Refusal reason);
  bool isKeyExchange() const;
  size_t longestMessage() const;
  bool asksForKeyAlready() const;

  Role role_;
  bool hold_;
  State state_ = State::Screening;
  Refusal refusal_ = Refusal::None;

  uint8_t header_[4] = {};  // of the message being read: type, length (24 bits)
  size_t headerBytes_ = 0;
  uint32_t bodyLength_ = 0;
  uint32_t bodyBytes_ = 0;
  bool gathering_ = false;  // a long ClientHello, of which nothing passes before its end
  size_t withheld_ = 0;     // bytes inspected already that did not pass because of it
  MessageAssembler keyExchange_{kMaxTlsKeyExchangeBytes};
  bool helloDone_ = false;
};

const char* nameOf(StreamScreen::Refusal refusal);

}  // namespace mcbn
