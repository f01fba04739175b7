#include "support/states13.h"

#include <map>

using namespace mcbn::dtls13;

namespace mcbn::fuzz {
namespace {

AddressBytes someAddress(size_t bytes) {
  AddressBytes address;
  require(address.append(Bytes(std::min(bytes, kMaxAddressBytes), 4)));
  return address;
}

bool equal(const Secret& a, const Secret& b) { return std::ranges::equal(a.view(), b.view()); }

bool equal(const EpochState& a, const EpochState& b) {
  return a.epoch == b.epoch && equal(a.secret, b.secret) && a.next == b.next && a.seen == b.seen &&
         a.used == b.used && a.age == b.age && a.closed == b.closed;
}

bool equal(const OpenState13& a, const OpenState13& b) {
  const auto alike = [](const WaitingMessage& one, const WaitingMessage& other) {
    return one.type == other.type && one.body == other.body;
  };
  return a.suite == b.suite && a.role == b.role && equal(a.write, b.write) &&
         equal(a.read, b.read) && a.older.has_value() == b.older.has_value() &&
         (!a.older || equal(*a.older, *b.older)) && equal(a.exporter, b.exporter) &&
         a.next_message == b.next_message && a.next_of_peer == b.next_of_peer &&
         a.under_way == b.under_way && std::ranges::equal(a.messages, b.messages, alike) &&
         a.own_ids == b.own_ids && a.peer_id == b.peer_id && a.spare_ids == b.spare_ids &&
         a.ids_requested == b.ids_requested && a.return_routability == b.return_routability &&
         a.identity == b.identity && a.names.alpn == b.names.alpn &&
         a.names.servername == b.names.servername && a.round_trip == b.round_trip;
}

using Random = std::minstd_rand;

size_t below(Random& random, size_t most) { return random() % most; }

template <typename Item, size_t kCount>
Item oneOf(Random& random, const Item (&items)[kCount]) {
  return items[below(random, kCount)];
}

Bytes someBytes(Random& random, size_t size) {
  Bytes bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

std::string someText(Random& random, size_t most) {
  return std::string(below(random, most + 1), static_cast<char>('a' + below(random, 26)));
}

void changeEpoch(EpochState& epoch, Random& random) {
  static constexpr uint64_t kNumbers[] = {0,     1,           63,         64,
                                          65535, 0xffff'ffff, 1ULL << 47, (1ULL << 48) - 1};
  switch (below(random, 6)) {
    case 0:
      epoch.epoch = oneOf(random, {uint64_t{3}, uint64_t{4}, OpenState13::kLastEpoch});
      break;
    case 1:
      epoch.next = oneOf(random, kNumbers);
      break;
    case 2:
      epoch.seen = oneOf(random, {uint64_t{0}, uint64_t{1}, ~uint64_t{0}, uint64_t{random()}});
      break;
    case 3:
      epoch.used = oneOf(random, kNumbers) * below(random, 5);
      break;
    case 4:
      epoch.age = 1'000 * below(random, UINT32_MAX);
      break;
    default:
      epoch.secret = Secret(someBytes(random, epoch.secret.size()));
  }
}

void changeMessages(OpenState13& state, Random& random) {
  static constexpr uint8_t kTypes[] = {4, 9, 10, 20, 24, 24};
  if (state.messages.size() == 4 || (!state.messages.empty() && random() % 4 == 0)) {
    state.messages.pop_back();
  } else {
    const size_t size = random() % 3 == 0 ? below(random, 300) : 1;
    state.messages.push_back({oneOf(random, kTypes), someBytes(random, size)});
  }
  state.under_way = !state.messages.empty() && random() % 2;
  if (state.under_way && state.next_message == 0) state.next_message = 1;
}

void changeIds(OpenState13& state, Random& random) {
  switch (below(random, 4)) {
    case 0: {
      const size_t size = state.own_ids.empty() ? 1 + below(random, 32) : state.own_ids[0].size();
      if (state.own_ids.size() == OpenState13::kMostOwnIds) state.own_ids.clear();
      state.own_ids.push_back(someBytes(random, size));
      break;
    }
    case 1:
      state.peer_id = someBytes(random, below(random, 256));
      break;
    case 2:
      if (state.spare_ids.size() == OpenState13::kMostSpareIds) state.spare_ids.clear();
      state.spare_ids.push_back(someBytes(random, 1 + below(random, 255)));
      break;
    default:
      state.ids_requested = !state.ids_requested;
  }
}

// Only with IDs is written whether more were asked for.
void tidy(OpenState13& state) {
  if (state.own_ids.empty() && state.peer_id.empty() && state.spare_ids.empty()) {
    state.ids_requested = false;
  }
  if (state.older) state.older->epoch = state.read.epoch - 1;
}

void changeOlder(OpenState13& state, Random& random) {
  if (!state.older) {
    state.older.emplace().secret = state.exporter.clone();
  } else if (random() % 3 == 0) {
    state.older.reset();
  } else if (random() % 2) {
    state.older->closed = !state.older->closed;
  } else {
    changeEpoch(*state.older, random);
  }
}

}  // namespace

SessionSeal& seal() {
  static SessionSeal made(Bytes(SessionSeal::kKeyBytes, 0x5e));
  return made;
}

const Context& contextOf(Role role) {
  const auto made = [](Role of) {
    ContextOptions options;
    options.role = of;
    options.transport = Transport::Dtls;
    auto created = Context::create(std::move(options));
    require(created.index() == 0);
    return std::get<0>(std::move(created));
  };
  static const auto client = made(Role::Client), server = made(Role::Server);
  return role == Role::Client ? *client : *server;
}

Bytes realState(uint8_t shape) {
  static std::map<uint8_t, Bytes> kept;
  const auto [found, fresh] = kept.try_emplace(shape);
  if (!fresh) return found->second;
  const Suite* const suite = kSuites[(shape >> 2) % std::size(kSuites)];
  const Role role = shape & 1 ? Role::Server : Role::Client;
  Pair13Options options{
      .suites = {suite}, .hash = suite->hash, .dtls = dtlsOptions(1'200, 10'000, 250)};
  if (shape & 2) {
    options.client_id = Bytes(4, 0xC1);
    options.server_id = Bytes(8, 0x5E);
  }
  Pair13 pair(options);
  pair.connect();
  pair.run([&] { return pair.bothOpen() && pair.client->portable(); });
  pair.drain();
  const unsigned story = shape >> 5;  // what has happened since
  for (unsigned i = 0; i < 3 * story; ++i) {
    require(pair.client->send(wire::text("message"), pair.now, pair.at_client));
  }
  if (story & 1) require(pair.client->updateKeys(true, pair.now, pair.at_client));
  pair.drain();
  auto& session = role == Role::Client ? pair.client : pair.server;
  RecordingSink& sink = role == Role::Client ? pair.at_client : pair.at_server;
  if (story & 2) require(session->updateKeys(false, pair.now, sink));
  if (story & 4 && shape & 2) require(session->requestConnectionIds(2, pair.now, sink));
  auto state = session->takeState(pair.now);
  require(state.has_value());
  const PortableSession taken{*std::move(state), someAddress(7), 4'000,
                              role == Role::Client ? someAddress(7) : AddressBytes()};
  Bytes sealed;
  require(seal().seal(taken, sealed));
  const auto opened = seal().unseal(sealed, contextOf(role));
  require(opened.fault == SealFault::None);
  return found->second = written(*opened.session);
}

bool same(const PortableSession& a, const PortableSession& b) {
  return std::ranges::equal(a.peer.view(), b.peer.view()) &&
         std::ranges::equal(a.local.view(), b.local.view()) && a.silence == b.silence &&
         equal(*a.of13(), *b.of13());
}

void change(PortableSession& session, Random& random) {
  static constexpr uint32_t kSequences[] = {0, 1, 2, 65'535, 65'536};
  OpenState13& state = *session.of13();
  switch (below(random, 13)) {
    case 0:
      state.suite = random() % 8 ? kSuites[below(random, std::size(kSuites))]->id
                                 : static_cast<uint16_t>(random());
      break;
    case 1: {
      const Bytes secret = someBytes(random, oneOf(random, {32, 48, 64}));
      for (Secret* const each : {&state.write.secret, &state.read.secret, &state.exporter}) {
        *each = Secret(secret);
      }
      if (state.older) state.older->secret = Secret(secret);
      break;
    }
    case 2:
      changeEpoch(state.write, random);
      break;
    case 3:
      changeEpoch(state.read, random);
      break;
    case 4:
      changeOlder(state, random);
      break;
    case 5:
      state.next_message = oneOf(random, kSequences);
      state.under_way = state.under_way && state.next_message > 0;
      break;
    case 6:
      state.next_of_peer = oneOf(random, kSequences);
      break;
    case 7:
      changeMessages(state, random);
      break;
    case 8:
    case 9:
      changeIds(state, random);
      break;
    case 10:
      state.identity = someText(random, random() % 16 ? 40 : 3'000);
      state.return_routability = random() % 2;
      break;
    case 11:
      state.names = {someText(random, 255), someText(random, 255)};
      state.round_trip = below(random, UINT32_MAX);
      break;
    default:
      session.peer = someAddress(below(random, kMaxAddressBytes + 1));
      session.silence = 1'000 * below(random, UINT32_MAX);
      if (state.role == Role::Client) session.local = someAddress(below(random, 9));
  }
  tidy(state);
}

}  // namespace mcbn::fuzz
