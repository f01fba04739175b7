// records.h: all records of a DTLS 1.3 association, in every epoch that is alive, both directions.
//
//   train of datagrams --next()--> record, record, ...    content --seal()--> records in a datagram
//
// Records that came together are unmasked and decrypted together, which changes nothing but the time
// that it takes: each is admitted when next() comes to it, with what those before it have done to the
// replay window and to the counters, as if it were the only one.
//
// The handshake says which epochs live: keys of an epoch come with startReading() and startWriting()
// and go with stopReading() and stopWriting(). Epochs with the same two lowest bits exclude each
// other, the newer one replaces the older (RFC 9147 section 4.2.2): at most four live at a time.
//
// What next() gives is authentic, unless its epoch is 0: such a record was in the clear, anybody
// may have written it, and it may come again (no replay window: a forged number would shut the
// peer's own out). All else is dropped in silence and counted (section 4.5.2).
//
// Ownership   a session owns its Records; content that next() gives lies in the caller's datagram.
// Thread      the session's.
// Spec        RFC 9147 sections 4 (records), 4.2 (numbers), 4.5 (protection), 6.1 (epochs)
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/few.h"
#include "base/secret.h"
#include "dtls13/record_cipher.h"
#include "dtls13/record_frame.h"
#include "dtls13/suite.h"
#include "record/drop_reason.h"
#include "record/record_layer.h"
#include "session/open_state13.h"

namespace mcbn::dtls13 {

// A record that may be used.
struct OpenedRecord {
  RecordNumber number;
  uint8_t type = 0;        // content_type of record/dtls_record.h; 21, 22, 23, 26 or 27
  MutableBytes content;    // without padding; may be empty
  ByteView connection_id;  // that was in its header; empty: none
  bool newest = false;     // its number is higher than all that were opened before it
  bool reserved = true;    // else it must wait, and be given to admitHeld() when its turn has come
};

// A number that counts all epochs, of 16 bits each (session/reservation.h). Behind an epoch's last number comes the
// first of the next.
constexpr uint64_t numberOf(RecordNumber number) { return (number.epoch << 48) + number.sequence; }
constexpr RecordNumber recordOf(uint64_t number) {
  return {number >> 48, number & ((uint64_t{1} << 48) - 1)};
}

// Datagrams from one peer, in order, and how far next() has come with their records.
class RecordTrain {
 public:
  // The span, like the datagrams, lasts as long as the train.
  explicit RecordTrain(std::span<const MutableBytes> datagrams) : behind_(datagrams) {}
  explicit RecordTrain(MutableBytes datagram) : datagram_(datagram) {}

 private:
  friend class Records;
  // What UDP_GRO gives at most.
  static constexpr size_t kMost = 64;

  IncomingDatagram datagram_;  // the one being read
  std::span<const MutableBytes> behind_;
  std::optional<RecordFrame> ahead_;  // read, and no more
  // Gathered: of one epoch, their numbers unmasked. Of these some are decrypted, and of those some
  // admitted or dropped, each from the first on.
  Few<CipherPiece, kMost> pieces_;
  size_t decrypted_ = 0, admitted_ = 0;
  uint64_t epoch_ = 0;
};

// How used up the keys of an epoch are (RFC 9147 section 4.5.3).
enum class KeyWear : uint8_t {
  Fine,
  Renew,  // half: send a KeyUpdate (of read keys: with update_requested)
  Spent,  // nothing more is sealed, or opened: close, unless newer keys are there
};

class Records {
 public:
  // `replay_window`: numbers an epoch remembers, see ReplayWindow.
  explicit Records(size_t replay_window = ReplayWindow::kDefault);
  ~Records();

  // ---- from the peer

  // From epoch 2 on. False: OpenSSL has no memory; the epoch does not live.
  bool startReading(uint64_t epoch, const Suite& suite, const Secret& traffic_secret);
  void stopReading(uint64_t epoch);
  bool reads(uint64_t epoch) const;
  // The connection IDs that we have given out, of one length all; none: records have none. The first
  // encrypted record of a datagram must then have one of them.
  void setOwnIds(std::vector<Bytes> ids);
  const std::vector<Bytes>& ownIds() const { return own_ids_; }

  // The next record of the train that may be used; nullopt: there is no other. Keys may be started
  // and stopped between two calls: the train's later records of other epochs are opened with them.
  std::optional<OpenedRecord> next(RecordTrain& train);

  // Records that next() has passed over, and why. WrongEpoch: no keys for it (any more, or yet).
  const DropCounts& dropped() const { return dropped_; }
  KeyWear readWear(uint64_t epoch) const;

  // ---- to the peer

  bool startWriting(uint64_t epoch, const Suite& suite, const Secret& traffic_secret);
  void stopWriting(uint64_t epoch);
  bool writes(uint64_t epoch) const;
  // Epoch 0's next number, where those before it were used without state. Never goes back.
  void skipPlaintext(uint64_t next);
  // What the peer wants to find in records; empty: nothing.
  void setPeerId(Bytes id) { peer_id_ = std::move(id); }
  const Bytes& peerId() const { return peer_id_; }

  // Bytes of a record with so much content, made by the next function.
  size_t sealedSize(uint64_t epoch, size_t content) const;
  // Appends one record with a length to the datagram. nullopt: the epoch does not live, its keys are
  // spent, the content is longer than kMaxContentBytes, or OpenSSL refused; the datagram is as it was.
  std::optional<RecordNumber> seal(uint64_t epoch, uint8_t type, ByteView content, Bytes& datagram);

  // The same in place, for datagrams of one record, without a length: messages with before() and
  // behind() bytes around them. Of the latter a long message may need fewer: sealedAlone() says what
  // the record has. From epoch 1 on.
  size_t before(uint64_t epoch) const;
  size_t behind(uint64_t epoch) const;
  // Bytes of such a record.
  size_t sealedAlone(uint64_t epoch, size_t content) const;
  // How many of them, from the first on, are records now. The others never will be.
  size_t seal(uint64_t epoch, uint8_t type, std::span<const MutableBytes> messages);

  KeyWear writeWear(uint64_t epoch) const;
  // Whether another record can be made: the keys are there and not spent, and its number is reserved.
  bool mayWrite(uint64_t epoch) const;

  // ---- to go on elsewhere

  // From these numbers on, as numberOf() counts, records are not made, and authentic ones not counted as seen.
  void limitNumbers(const NumberLimits& limits) { limits_ = limits; }
  // A record that was not reserved. False: it came before, or too late.
  bool admitHeld(RecordNumber number);
  // Of an epoch that lives, without its secret.
  EpochState readState(uint64_t epoch) const;
  EpochState writeState(uint64_t epoch) const;
  // With its secret: lives from now on. False: OpenSSL refused.
  bool resumeReading(const EpochState& state, const Suite& suite);
  bool resumeWriting(const EpochState& state, const Suite& suite);

  // Gives cipher contexts back until they are needed again: an idle session has keys only.
  void release();

 private:
  struct ReadEpoch;
  struct WriteEpoch;

  // The epochs of one direction.
  template <typename Epoch>
  class Living {
   public:
    // False: OpenSSL has no memory; the epoch does not live.
    template <typename... More>
    bool start(uint64_t epoch, const Suite& suite, const Secret& traffic_secret, More... more) {
      TrafficKeys keys = trafficKeysOf(suite, traffic_secret);
      if (keys.empty()) return false;
      slots_[epoch % kSlots] = std::make_unique<Epoch>(epoch, suite, std::move(keys), more...);
      return true;
    }
    void stop(uint64_t epoch) {
      if (find(epoch)) slots_[epoch % kSlots].reset();
    }
    Epoch* find(uint64_t epoch) const {
      Epoch* const found = withBits(epoch % kSlots);
      return found && found->epoch == epoch ? found : nullptr;
    }
    Epoch* withBits(uint64_t bits) const { return slots_[bits].get(); }
    void release() {
      for (const auto& epoch : slots_) {
        if (epoch) epoch->cipher.release();
      }
    }

   private:
    static constexpr size_t kSlots = 4;                 // EE of the header
    std::array<std::unique_ptr<Epoch>, kSlots> slots_;  // at its epoch modulo kSlots
  };

  bool mayWrite(const WriteEpoch& epoch) const;
  const RecordFrame* lookAhead(RecordTrain& train);
  bool isOurs(IncomingDatagram& datagram, const RecordFrame& frame) const;
  void gather(RecordTrain& train);
  void decrypt(RecordTrain& train);
  void lookFarther(ReadEpoch& epoch, const CipherPiece& piece);
  std::optional<OpenedRecord> admit(uint64_t epoch, const CipherPiece& piece);
  void mark(ReadEpoch& epoch, uint64_t sequence);
  std::optional<OpenedRecord> drop(DropReason reason);
  size_t sealAt(WriteEpoch& epoch, uint8_t type, std::span<const MutableBytes> messages,
                HeaderForm form);
  size_t finish(WriteEpoch& epoch, std::span<CipherPiece> pieces);

  const size_t replay_window_;
  Living<ReadEpoch> reading_;
  Living<WriteEpoch> writing_;
  uint64_t next_plaintext_ = 0;
  std::vector<Bytes> own_ids_;
  Bytes peer_id_;
  RecordNumber newest_;
  NumberLimits limits_{UINT64_MAX, UINT64_MAX};
  DropCounts dropped_;
};

}  // namespace mcbn::dtls13
