// What goes on elsewhere of a session of DTLS 1.3, as the holder of a sealing key could have written it: an export, or the
// row of a session store. The input is a byte that says what is then done, and a state; without one, it is that of
// a real session. The mutator changes fields of a state as often as bytes.
//
// What must hold: nothing is read beyond its end; what is no state is refused by its name; what was read is written and
// read as the same; sealed and changed anywhere, it is refused. A session that begins with it uses no number to
// send that was used before, takes no record that was seen, takes the next one once, and what it is then can be read
// again.
#include <cstdlib>
#include <memory>

#include "record/dtls_record.h"
#include "support/states13.h"

using namespace mcbn;
using namespace mcbn::dtls13;
using namespace mcbn::fuzz;

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most);

namespace {

constexpr Milliseconds kNow = 10'000'000'000'000;  // older than any age that a state may tell
constexpr uint64_t kLastNumber = (uint64_t{1} << 48) - 1;
constexpr size_t kMtu = 1'200;

// Exactly as large as it is: one byte more would be found.
struct Exact {
  explicit Exact(ByteView from) : size(from.size()), bytes(new uint8_t[from.size()]) {
    std::copy(from.begin(), from.end(), bytes.get());
  }
  ByteView view() const { return {bytes.get(), size}; }

  size_t size;
  std::unique_ptr<uint8_t[]> bytes;
};

Role roleOf(ByteView plain) { return !plain.empty() && plain[0] & 1 ? Role::Server : Role::Client; }

std::optional<PortableSession> parsed(ByteView plain, Role role) {
  const Exact exact(plain);
  auto opened = state_bytes::parse13(exact.view(), role);
  require(opened.session.has_value() == (opened.fault == SealFault::None));
  require(opened.session || opened.fault == SealFault::Malformed);
  return std::move(opened.session);
}

// As anything that a session was, it can be read again, and is the same.
PortableSession again(const PortableSession& session) {
  const Bytes bytes = written(session);
  auto read = parsed(bytes, session.of13()->role);
  require(read && same(*read, session) && written(*read) == bytes);
  return *std::move(read);
}

PortableSession alone(OpenState13 state) { return {std::move(state), {}, 0, {}}; }

void sealing(const PortableSession& session, uint8_t choice) {
  const Context& context = contextOf(session.of13()->role);
  const Bytes name = wire::text("row");
  Bytes sealed;
  require(seal().seal(session, sealed, name));
  const auto opened = seal().unseal(Exact(sealed).view(), context, name);
  require(opened.fault == SealFault::None && same(*opened.session, session));
  require(seal().unseal(sealed, context).fault == SealFault::Forged);
  const size_t at = choice * sealed.size() / 256;
  sealed[at] ^= 1 << choice % 8;
  const SealFault fault = seal().unseal(sealed, context, name).fault;
  require(fault == SealFault::Forged || (at == 0 && fault == SealFault::Version));
  sealed.resize(at);
  require(seal().unseal(Exact(sealed).view(), context, name).fault != SealFault::None);
}

// A session that has begun with the state, its peer, and a witness of all that it sends.
class Revived {
 public:
  explicit Revived(const OpenState13& state)
      : state_(state),
        suite_(*suiteOf(state.suite)),
        session_(state, settings(), dtlsOptions(kMtu, 10'000, 250), kNow) {
    require(session_.open());
    EpochState before{.epoch = state.write.epoch,
                      .secret = state.write.secret.clone(),
                      .next = state.write.next,
                      .seen = ~uint64_t{0}};
    require(witness_.resumeReading(before, suite_));
    if (!state.peer_id.empty()) witness_.setOwnIds({state.peer_id});
  }

  static std::shared_ptr<const Settings> settings() {
    static const auto all = [] {
      auto made = std::make_shared<Settings>();
      made->suites = {std::begin(kSuites), std::end(kSuites)};
      return made;
    }();
    return all;
  }

  Dtls13Session& session() { return session_; }
  RecordingSink& sink() { return sink_; }

  // None of the numbers was used before it went on here, and none twice.
  void watch() {
    for (; !sink_.outgoing.empty(); sink_.outgoing.pop_front()) {
      RecordTrain train{MutableBytes(sink_.outgoing.front())};
      while (const auto record = witness_.next(train)) {
        require(record->number >= RecordNumber{state_.write.epoch, state_.write.next});
      }
    }
    require(witness_.dropped().total() == 0);
  }

  // Whether a message of the peer's is taken that has this number.
  bool takes(const EpochState& epoch, uint64_t number) {
    Records peer;
    require(peer.resumeWriting(
        {.epoch = epoch.epoch, .secret = epoch.secret.clone(), .next = number}, suite_));
    // With a new ID that it was told, a peer uses that; the first is as good.
    if (!state_.own_ids.empty()) peer.setPeerId(state_.own_ids[0]);
    Bytes datagram;
    // The last number of all cannot be sent.
    if (!peer.seal(epoch.epoch, content_type::kApplicationData, wire::text("data"), datagram)) {
      require(number == kLastNumber);
      return false;
    }
    const size_t before = sink_.messages.size();
    session_.receive(datagram, kNow, sink_);
    watch();
    return sink_.messages.size() > before;
  }

  void hear() {
    hearAgain();
    for (const EpochState* const epoch : epochs()) {
      const bool usable = session_.open() && !epoch->closed &&
                          session_.records().readWear(epoch->epoch) != KeyWear::Spent;
      if (epoch->next >= kLastNumber || !usable) continue;
      require(takes(*epoch, epoch->next));
      require(!takes(*epoch, epoch->next));
    }
  }

  // What was seen before is not taken.
  void hearAgain() {
    for (const EpochState* const epoch : epochs()) {
      for (uint64_t age = 0; age < 64 && age < epoch->next; age += 1 + age) {
        const bool seen = epoch->seen >> age & 1;
        if (seen || epoch->closed) require(!takes(*epoch, epoch->next - 1 - age));
      }
    }
  }

  void doSomething(uint8_t script) {
    for (unsigned i = 0; i < 3 && session_.deadline() <= kNow + i; ++i) {
      session_.expire(kNow + i, sink_);
      watch();
    }
    if (script & 1) session_.send(wire::text("hello"), kNow, sink_);
    if (script & 2) session_.updateKeys(script & 4, kNow, sink_);
    if (script & 8) session_.requestConnectionIds(1, kNow, sink_);
    const auto& ids = session_.ownConnectionIds();
    if (script & 16 && !ids.empty()) {
      session_.giveConnectionIds({Bytes(ids[0].size(), 7)}, script & 32, kNow, sink_);
    }
    watch();
    if (script & 64) session_.useSpareConnectionId();
    if (script & 64) witness_.setOwnIds(idsOfPeer());
    if (script & 1) session_.send(wire::text("hello"), kNow, sink_);
    watch();
  }

  // What it is now goes on from where it is.
  void store(uint8_t script) {
    if (!session_.portable()) return;
    if (script & 128) {
      session_.reserve(script & 2, kMtu, kNow);
      if (session_.rowDue(kNow)) follows(session_.row(kNow));
      session_.rowWritten(kNow, sink_);
      watch();
      hearAgain();
    }
    if (!session_.portable()) return;
    auto state = session_.takeState(kNow);
    require(state.has_value());
    follows(*std::move(state));
  }

 private:
  // In which data may come.
  std::vector<const EpochState*> epochs() const {
    std::vector<const EpochState*> found = {&state_.read};
    if (state_.older && state_.older->epoch >= 3) found.push_back(&*state_.older);
    return found;
  }

  std::vector<Bytes> idsOfPeer() const {
    const ByteView id = session_.peerConnectionId();
    return id.empty() ? std::vector<Bytes>() : std::vector<Bytes>{{id.begin(), id.end()}};
  }

  void follows(OpenState13 state) {
    const PortableSession read = again(alone(std::move(state)));
    const OpenState13& next = *read.of13();
    require(Dtls13Session::faultOf(next, *settings()) == SealFault::None);
    const auto numberOfNext = [](const EpochState& epoch) {
      return RecordNumber{epoch.epoch, epoch.next};
    };
    require(numberOfNext(next.write) >= numberOfNext(state_.write));
    require(numberOfNext(next.read) >= numberOfNext(state_.read));
    require(next.next_message >= state_.next_message && next.next_of_peer >= state_.next_of_peer);
  }

  const OpenState13& state_;
  const Suite& suite_;
  RecordingSink sink_;
  Dtls13Session session_;
  Records witness_{1'024};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const uint8_t script = data[0];
  const Bytes plain = size > 1 ? Bytes(data + 1, data + size) : realState(script);
  const Role role = roleOf(plain);
  const auto other =
      state_bytes::parse13(plain, role == Role::Client ? Role::Server : Role::Client);
  require(!other.session &&
          other.fault == (plain.size() < 3 ? SealFault::Malformed : SealFault::WrongRole));
  const auto session = parsed(plain, role);
  if (!session) return 0;
  again(*session);
  sealing(*session, script);

  const OpenState13& state = *session->of13();
  const SealFault fault = Dtls13Session::faultOf(state, *Revived::settings());
  require(fault == SealFault::None || fault == SealFault::Suite || fault == SealFault::Malformed);
  if (fault != SealFault::None) return 0;
  Revived revived(state);
  if (script & 4) revived.hear();
  if (revived.session().open()) revived.doSomething(script);
  if (revived.session().open()) revived.store(script);
  revived.session().close(revived.sink());
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  std::minstd_rand random(seed);
  if (size == 0) return LLVMFuzzerMutate(data, size, most);
  if (random() % 4 == 0) return 1 + LLVMFuzzerMutate(data + 1, size - 1, most - 1);
  if (random() % 8 == 0) data[0] = static_cast<uint8_t>(random());
  const Bytes plain = size > 1 && random() % 64 ? Bytes(data + 1, data + size)
                                                : realState(static_cast<uint8_t>(random()));
  auto session = parsed(plain, roleOf(plain));
  if (!session) return 1 + LLVMFuzzerMutate(data + 1, size - 1, most - 1);
  for (unsigned i = 1 + random() % 3; i > 0; --i) change(*session, random);
  const Bytes changed = written(*session);
  if (1 + changed.size() > most) return size;
  std::copy(changed.begin(), changed.end(), data + 1);
  return 1 + changed.size();
}
