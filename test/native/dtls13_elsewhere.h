// dtls13_elsewhere.h: sessions of a Pair13 that go on elsewhere, through sealed bytes or the row of a session store.
#pragma once

#include <doctest/doctest.h>

#include "dtls13_exchange.h"
#include "dtls_pair.h"
#include "session/state_bytes.h"

namespace mcbn::dtls13::elsewhere {

inline const Bytes kKey(SessionSeal::kKeyBytes, 0x5e);

inline std::shared_ptr<const Context> contextFor(Role role) {
  return DtlsPair::contextOf(contextOptions(role));
}

inline AddressBytes somePeer() {
  AddressBytes address;
  REQUIRE(address.append(Bytes{4, 192, 0, 2, 1, 0x16, 0x33}));
  return address;
}

inline Bytes sealed(OpenState13 state, Milliseconds silence = 0) {
  Bytes out;
  REQUIRE(SessionSeal(kKey).seal({std::move(state), somePeer(), silence}, out));
  return out;
}

inline OpenState13 unsealed(ByteView bytes, Role role) {
  auto opened = SessionSeal(kKey).unseal(bytes, *contextFor(role));
  REQUIRE(opened.fault == SealFault::None);
  REQUIRE(opened.session->of13());
  return std::move(*opened.session->of13());
}

inline Pair13Options options(bool with_ids, const Suite* suite = &suite::kAes128Gcm) {
  Pair13Options made{
      .suites = {suite}, .hash = suite->hash, .dtls = dtlsOptions(1'200, 10'000, 250)};
  if (with_ids) {
    made.client_id = Bytes(4, 0xC1);
    made.server_id = Bytes(8, 0x5E);
  }
  return made;
}

inline void open(Pair13& pair) {
  pair.connect();
  pair.run([&] { return pair.bothOpen() && pair.client->portable(); });
  REQUIRE(pair.bothOpen());
  pair.drain();
}

inline std::unique_ptr<Dtls13Session>& sessionOf(Pair13& pair, Side side) {
  return side == Side::Client ? pair.client : pair.server;
}
inline RecordingSink& sinkOf(Pair13& pair, Side side) {
  return side == Side::Client ? pair.at_client : pair.at_server;
}

// Out of its session, through bytes, into another.
inline void move(Pair13& pair, Side side, const Pair13Options& with) {
  auto& session = sessionOf(pair, side);
  auto state = session->takeState(pair.now);
  REQUIRE(state);
  CHECK(session->state() == Dtls13Session::State::Ended);
  session = std::make_unique<Dtls13Session>(unsealed(sealed(*std::move(state)), side),
                                            pair.server_settings, with.dtls, pair.now);
}

// Whom no record number of one side escapes: it has the side's secrets.
class Observer {
 public:
  explicit Observer(const std::vector<Bytes>& ids) { records_.setOwnIds(ids); }

  void see(const Dtls13Session& session, ByteView datagram) {
    const auto& association = *session.association();
    const uint64_t epoch = association.writeEpoch();
    if (!records_.reads(epoch)) {
      REQUIRE(
          records_.startReading(epoch, *association.agreed().suite, association.agreed().write));
    }
    Bytes copy(datagram.begin(), datagram.end());
    RecordTrain train{MutableBytes(copy)};
    while (records_.next(train)) seen_ += 1;
  }
  uint64_t seen() const { return seen_; }
  uint64_t twice() const { return records_.dropped().of(DropReason::Replayed); }
  uint64_t unread() const { return records_.dropped().total() - twice(); }

 private:
  Records records_{ReplayWindow::kLargest};
  uint64_t seen_ = 0;
};

// A side whose rows are kept, as an endpoint keeps them.
class Kept {
 public:
  Kept(Pair13& pair, Side side, const Pair13Options& with)
      : pair_(pair), side_(side), with_(with) {}

  // After whatever has happened.
  void keep() {
    Dtls13Session& session = *sessionOf(pair_, side_);
    if (!session.portable()) return;
    if (!reserved_) session.reserve(false, with_.dtls.mtu, pair_.now);
    reserved_ = true;
    if (session.rowDue(pair_.now)) pending_ = sealed(session.row(pair_.now));
  }
  // The store has the row now.
  void write() {
    if (!pending_) return;
    disk_ = std::exchange(pending_, std::nullopt);
    sessionOf(pair_, side_)->rowWritten(pair_.now, sinkOf(pair_, side_));
  }
  bool stored() const { return disk_.has_value(); }
  // Whether something waits for the store.
  bool waits() const { return pending_.has_value(); }
  void crash() {
    REQUIRE(disk_);
    pending_.reset();
    sessionOf(pair_, side_) = std::make_unique<Dtls13Session>(
        unsealed(*disk_, side_), pair_.server_settings, with_.dtls, pair_.now);
    sessionOf(pair_, side_)->reserve(true, with_.dtls.mtu, pair_.now);
  }

 private:
  Pair13& pair_;
  const Side side_;
  const Pair13Options with_;
  bool reserved_ = false;
  std::optional<Bytes> pending_, disk_;
};

}  // namespace mcbn::dtls13::elsewhere
