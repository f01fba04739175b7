// record_layer.h: the protected records of one epoch, both directions, without OpenSSL's SSL.
//
//   message --seal()--> record          record --open()--> content, or why it was dropped
//   messages -seal()--> records         train -decrypt()--> train -admit(), one by one-> the same
//
// A train is what came at once. Its records are decrypted together, which changes nothing but the
// time that it takes: each is then admitted in its turn, with what those before it have done to the
// replay window and to the counters, as if it were the only one.
//
// Counts what the AEAD may be asked for (RFC 9147 section 4.5.3; DTLS 1.2 has no other way to get
// new keys than a new handshake): exhausted() ends the session before a limit is passed.
//
// Ownership   a DtlsSession owns its RecordLayer.
// Thread      the session's.
// Spec        RFC 6347 section 4.1, RFC 9146
#pragma once

#include <optional>
#include <span>

#include "record/connection_id.h"
#include "record/drop_reason.h"
#include "record/dtls_record.h"
#include "record/record_protection.h"
#include "record/replay_window.h"

namespace mcbn {

// What the key block of a handshake gives one side (RFC 5246 section 6.3); AEADs have no MAC keys.
struct RecordKeys {
  Secret write_key, read_key;
  Bytes write_iv, read_iv;

  RecordKeys clone() const { return {write_key.clone(), read_key.clone(), write_iv, read_iv}; }
  void wipe();
};

// How far the records of an epoch have come: all that changes while a RecordLayer is in use.
struct RecordPosition {
  uint64_t next_write = 0;   // the first number of ours that was not used
  uint64_t newest_read = 0;  // the highest number of the peer's that was authentic
  uint64_t seen = 1;         // bit i: newest_read - i was seen
  uint64_t blocks = 0;       // that our records have had
  uint64_t forgeries = 0;    // records that were not authentic
};

// Record numbers from these on must not be used yet (session/reservation.h).
struct NumberLimits {
  uint64_t write = uint64_t{1} << 48, read = uint64_t{1} << 48;
};

// A record of a train.
struct IncomingRecord {
  DtlsRecord record;
  uint8_t* place = nullptr;  // where its fragment is, and its content will be
  bool authentic = false;    // set by decrypt()
};

class RecordLayer {
 public:
  // From where the records of the epoch have come. `replay_window`: see ReplayWindow.
  RecordLayer(const AeadSuite& suite, uint16_t epoch, RecordKeys keys,
              const RecordPosition& position, CipherContexts* contexts,
              size_t replay_window = ReplayWindow::kDefault, ConnectionIds ids = {});
  // After a handshake. `last_read`: the number of the peer's record that ended it; it counts as
  // seen.
  RecordLayer(const AeadSuite& suite, uint16_t epoch, RecordKeys keys, uint64_t next_write,
              uint64_t last_read, CipherContexts* contexts,
              size_t replay_window = ReplayWindow::kDefault, ConnectionIds ids = {})
      : RecordLayer(suite, epoch, std::move(keys), {next_write, last_read, 1, 0, 0}, contexts,
                    replay_window, std::move(ids)) {}

  RecordPosition position() const {
    return {next_write_, window_.newest(), window_.newestSeen(), blocks_, forgeries_};
  }

  uint64_t nextWrite() const { return next_write_; }
  uint64_t newestRead() const { return window_.newest(); }

  size_t sealedSize(size_t length) const {
    return write_.headerBytes() + write_.overhead() + length;
  }
  // What a record has in front of its content, and behind it: bytes.
  size_t before() const { return write_.headerBytes() + suite_.explicit_nonce; }
  size_t behind() const { return write_.overhead() - suite_.explicit_nonce; }
  // Writes the record of `message` to `out`, sealedSize() bytes; the message may be at its place
  // there already, before() bytes from `out`. False when the keys are exhausted,
  // or OpenSSL refused.
  bool seal(uint8_t type, ByteView message, uint8_t* out);
  // The same in place for as many messages as have before() and behind() bytes around them, in
  // order: how many of them, from the first on, are records now. The others never will be: the keys
  // are exhausted, or OpenSSL refused.
  size_t seal(uint8_t type, std::span<const MutableBytes> messages);

  // Decrypts into `out`, which has room for record.fragment.size() and may be where the fragment
  // is. The content begins at
  // out + contentOffset(). nullopt: dropped, dropReason() says why.
  std::optional<size_t> open(const DtlsRecord& record, uint8_t* out);
  // Decrypts what is worth it. Nothing counts yet, and content must not be used before admit().
  void decrypt(std::span<IncomingRecord> train);
  // Of a record that was decrypted: what open() gives. Call it for each of a train, in order.
  std::optional<size_t> admit(const IncomingRecord& incoming);
  size_t contentOffset() const { return suite_.explicit_nonce; }

  // Records of ours are not made beyond, and those of the peer dropped as Unreserved: such a record is
  // authentic and decrypted, and admitHeld() takes it once the limit is higher.
  void limitNumbers(const NumberLimits& limits) { limits_ = limits; }
  // What open() gives, of a record that was decrypted and dropped as Unreserved.
  std::optional<size_t> admitHeld(uint64_t sequence, uint8_t type, MutableBytes fragment);
  // Of the record last opened or admitted: its type, which a connection ID hides, and whether it is
  // newer than all that were opened before it.
  uint8_t contentType() const { return content_type_; }
  bool newest() const { return newest_; }
  DropReason dropReason() const { return drop_reason_; }

  // One more record could pass a limit: say goodbye with what is left.
  bool exhausted() const;
  uint64_t forgeries() const { return forgeries_; }
  // So many records that are not authentic exhaust the keys; 0: none do. RFC 6347 section 4.1.2.7 has
  // such records dropped and the association preserved; the limits of RFC 9147 section 4.5.3 are DTLS
  // 1.3's, and would let anybody who knows the addresses end the session.
  void limitForgeries(uint64_t limit) { forgery_limit_ = limit; }
  const Bytes& ownConnectionId() const { return read_.id(); }
  const Bytes& peerConnectionId() const { return write_.id(); }

 private:
  // Kept back for the alert that says goodbye.
  static constexpr uint64_t kReserve = 16;
  static constexpr uint64_t kMaxSequence = (uint64_t{1} << 48) - 1;

  uint64_t numberOf(uint64_t sequence) const { return uint64_t{epoch_} << 48 | sequence; }
  DropReason judge(const DtlsRecord& record) const;
  std::optional<size_t> drop(DropReason reason);

  const AeadSuite& suite_;
  const uint16_t epoch_;
  DropReason drop_reason_ = DropReason::None;
  uint8_t content_type_ = 0;
  bool newest_ = false;
  RecordProtection write_, read_;
  uint64_t next_write_;
  uint64_t blocks_ = 0;
  uint64_t forgeries_ = 0;
  uint64_t forgery_limit_ = 0;
  NumberLimits limits_;
  ReplayWindow window_;
};

}  // namespace mcbn
