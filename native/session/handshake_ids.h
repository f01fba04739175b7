// handshake_ids.h: the encrypted records of a handshake that agrees on connection IDs: they have
// one, and OpenSSL must not notice.
//
//   ServerHello: both have said what they want --> lengthToUs(), isDue()
//   ClientKeyExchange: the keys are known      --> incoming(), outgoing()
//
// Ownership   a DtlsHandshake has one; it borrows the SSL.
// Thread      the session's.
// Spec        RFC 9146 section 3
#pragma once

#include <functional>
#include <memory>

#include "record/handshake_reframing.h"
#include "session/connection_id_extension.h"
#include "session/failure.h"
#include "session/session_secrets.h"

namespace mcbn {

class HandshakeIds {
 public:
  HandshakeIds(SSL* ssl, Role role) : ssl_(ssl), role_(role) {}

  // Before the first message: `own` is what the peer shall put into its records; may be empty.
  void want(Bytes own);

  // What want() was given, before anything is agreed; null: nothing.
  const Bytes* wanted() const { return extension_ ? &extension_->own() : nullptr; }
  bool agreed() const { return extension_ && extension_->agreed(); }
  // None before they are agreed.
  ConnectionIds ids() const { return agreed() ? extension_->ids() : ConnectionIds(); }
  bool returnRoutability() const {
    return agreed() && extension_->returnRoutability() && extension_->ids().used();
  }
  // The server agreed to IDs with a suite that cannot have them here.
  bool refused() const { return extension_ && extension_->refused(); }
  static Failure refusal();

  // Bytes of the ID in encrypted records to us; 0 where they have none.
  size_t lengthToUs() const { return agreed() ? extension_->ids().own.size() : 0; }
  bool toPeer() const { return agreed() && !extension_->ids().peer.empty(); }
  // What was agreed on holds for every encrypted record, and for no other.
  bool isDue(const DtlsRecord& record) const;

  // Whether the keys are known: from the ClientKeyExchange on.
  bool ready();
  bool wasReady() const { return reframing_ != nullptr; }
  // A tls12_cid record as OpenSSL wants it, once ready(). nullopt: not authentic.
  std::optional<HandshakeReframing::Incoming> incoming(const DtlsRecord& record);
  // What OpenSSL wrote, its encrypted records replaced, as datagrams of at most `mtu` bytes.
  void outgoing(ByteView bytes, size_t mtu, const std::function<void(ByteView)>& emit);

 private:
  SSL* const ssl_;
  const Role role_;
  std::unique_ptr<ConnectionIdExtension> extension_;  // null: no IDs are wanted
  std::unique_ptr<HandshakeReframing> reframing_;     // made when the keys are known
};

}  // namespace mcbn
