// A client and a server of DTLS 1.3 against each other. The input is the network between them: it
// loses, doubles, delays and damages datagrams and writes some in the clear, and once both are open it
// may also speak with a peer's keys.
//
// What must hold: nothing crashes, each side ends or opens in its time, two open sides have the same
// secrets, and what is delivered was sent.
#include <cstdlib>

#include "dtls13_pair.h"

using namespace mcbn;
using namespace mcbn::dtls13;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

class Input {
 public:
  explicit Input(ByteView bytes) : reader_(bytes) {}
  // 0 when all is used up.
  uint8_t byte() {
    uint8_t value = 0;
    if (!reader_.u8(value)) return 0;
    return value;
  }
  Bytes bytes(size_t most) {
    ByteView taken;
    if (!reader_.take(std::min(most, reader_.remaining()), taken)) return {};
    return {taken.begin(), taken.end()};
  }
  bool empty() const { return reader_.empty(); }

 private:
  Reader reader_;
};

// So much is damaged or forged that nothing more needs to be tried.
constexpr unsigned kMostMischief = 64;

std::vector<Milliseconds> decide(Pair13& pair, Input& input, unsigned& mischief, Side from,
                                 Bytes& datagram) {
  if (++mischief > kMostMischief) return {0};
  switch (input.byte() % 12) {
    case 1:
      return {};
    case 2:
      return {0, 0};
    case 3:
      return {Milliseconds{input.byte()} * 4};
    case 4:  // damaged, and then as it was
    case 5: {
      Bytes damaged = datagram;
      for (unsigned i = input.byte() % 4 + 1; i > 0; --i) {
        const size_t at = (input.byte() << 8 | input.byte()) % damaged.size();
        damaged[at] = input.byte();
      }
      if (input.byte() % 4 == 0) damaged.resize(input.byte() % (damaged.size() + 1));
      pair.deliver(from, damaged);
      return {0};
    }
    case 6:  // damaged for good
      datagram[(input.byte() << 8 | input.byte()) % datagram.size()] ^= input.byte();
      return {0};
    case 7: {  // a record in the clear, from anybody
      static constexpr uint8_t kTypes[] = {21, 22, 22, 22, 26, 23, 20};
      const uint8_t type = kTypes[input.byte() % std::size(kTypes)];
      pair.deliver(from, wire::record(type, 0, input.byte(), input.bytes(input.byte())));
      return {0};
    }
    case 8: {  // a whole handshake message in the clear
      const uint8_t type = input.byte(), sequence = input.byte() % 4;
      pair.deliver(from, wire::record(22, 0, input.byte(),
                                      wire::message(type, sequence, input.bytes(input.byte()))));
      return {0};
    }
    default:
      return {0};
  }
}

// What a peer with the keys could send: the session's records are made by a second hand.
void misuseKeys(Pair13& pair, Input& input) {
  const bool to_client = input.byte() & 1;
  Dtls13Session& victim = to_client ? *pair.client : *pair.server;
  RecordingSink& sink = to_client ? pair.at_client : pair.at_server;
  const OpenAssociation* const peer = (to_client ? pair.server : pair.client)->association();
  Records forger;
  if (!forger.startWriting(peer->writeEpoch(), *peer->agreed().suite, peer->agreed().write)) return;
  Bytes datagram;
  // Beyond the numbers that the peer has used.
  for (unsigned i = 0; i < 40; ++i) {
    datagram.clear();
    (void)forger.seal(peer->writeEpoch(), 22, {}, datagram);
  }
  static constexpr uint8_t kTypes[] = {22, 22, 22, 21, 26, 23};
  for (unsigned i = input.byte() % 8; i > 0 && !input.empty(); --i) {
    datagram.clear();
    const uint8_t type = kTypes[input.byte() % std::size(kTypes)];
    Bytes content = input.bytes(input.byte() % 128);
    if (type == 22 && input.byte() % 4 != 0) {
      static constexpr uint8_t kMessages[] = {4, 8, 9, 10, 20, 24, 24, 1};
      content = wire::message(kMessages[input.byte() % std::size(kMessages)],
                              static_cast<uint16_t>(2 + input.byte() % 6), content);
    }
    if (!forger.seal(peer->writeEpoch(), type, content, datagram)) return;
    victim.receive(datagram, pair.now, sink);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input({data, size});
  const uint8_t shape = input.byte();
  Pair13Options options;
  options.client_modes = options.server_modes = shape & 1 ? kPskDheKe : kPskKe;
  if (shape & 2) options.client_id = options.server_id = Bytes(shape >> 6, 0xC1);
  if (shape & 4) options.client_key = 1;
  options.ask = shape & 8;
  if (shape & 32) {
    options.key_update_interval = 100;
    options.client_origin = options.server_origin = PskOrigin::Imported;
    if (!options.ask) {
      options.identity = "Nobody";
      options.other_identities = {"Client1", "Else"};
    }
  }
  options.dtls = dtlsOptions(shape & 16 ? 256 : 1'200, 4'000, 100);
  Pair13 pair(options);
  unsigned mischief = 0;
  pair.fate = [&](Side from, Bytes& datagram) {
    return decide(pair, input, mischief, from, datagram);
  };
  pair.connect();
  const auto over = [](const std::unique_ptr<Dtls13Session>& session) {
    return session && session->state() != Dtls13Session::State::Handshaking;
  };
  const Milliseconds limit = pair.now + 10'000;
  while (!(over(pair.client) && over(pair.server)) && pair.step(limit)) {
    if (pair.server && pair.server->asks(1) && input.byte() % 2) {
      pair.server->answer(1, answerWith(input.byte() % 8 ? 0x42 : 2), {}, pair.now, pair.at_server);
    }
  }
  require(over(pair.client));
  require(!pair.server || over(pair.server));
  if (shape & 4) require(!pair.client->open());
  if (!pair.bothOpen()) return 0;

  Bytes ours(32), theirs(32);
  require(pair.client->exportKeyingMaterial("EXPORTER-fuzz", {}, ours));
  require(pair.server->exportKeyingMaterial("EXPORTER-fuzz", {}, theirs));
  require(ours == theirs);
  const Bytes message = wire::text("message");
  for (unsigned i = input.byte() % 8; i > 0; --i) {
    if (!pair.bothOpen()) break;
    auto& side = input.byte() % 2 ? pair.client : pair.server;
    RecordingSink& sink = &side == &pair.client ? pair.at_client : pair.at_server;
    switch (input.byte() % 5) {
      case 0:
        side->updateKeys(input.byte() & 1, pair.now, sink);
        break;
      case 1:
        side->requestConnectionIds(2, pair.now, sink);
        break;
      case 2:
        side->giveConnectionIds({Bytes(shape >> 6, input.byte())}, input.byte() & 1, pair.now,
                                sink);
        break;
      case 3:
        side->challengePath({1, 2, 3, 4, 5, 6, 7, 8}, sink);
        break;
      default:
        side->send(message, pair.now, sink);
    }
    for (unsigned steps = input.byte() % 8; steps > 0; --steps) pair.step(pair.now + 1'000);
  }
  for (const RecordingSink* sink : {&pair.at_client, &pair.at_server}) {
    for (const Bytes& received : sink->messages) require(received == message);
  }
  if (pair.bothOpen()) misuseKeys(pair, input);
  return 0;
}
