#include "world.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "engine/frame.h"
#include "record/dtls_record.h"
#include "record/message_room.h"
#include "world_limits.h"

namespace mcbn {
namespace {

const char* const kSuites[] = {"PSK-AES128-GCM-SHA256",       "PSK-AES128-CCM8",
                               "PSK-CHACHA20-POLY1305",       "ECDHE-PSK-CHACHA20-POLY1305",
                               "ECDHE-PSK-AES128-CBC-SHA256", ""};

Secret keyOf(bool right) { return Secret(Bytes(32, right ? 0x42 : 0x43)); }

std::shared_ptr<const Context> contextOf(Role role, const char* suites, bool ask, bool hint,
                                         bool newer) {
  ContextOptions options;
  options.role = role;
  options.transport = Transport::Dtls;
  options.ciphers = suites;
  if (role == Role::Server) {
    if (hint) options.identity_hint = "which vault";
    auto table = std::make_shared<KeyTable>();
    if (!ask) table->set("Client1", {keyOf(true)});
    options.psk = {.table = table, .ask = ask};
    options.newer = newer;
  }
  auto created = Context::create(std::move(options));
  auto* const context = std::get_if<std::shared_ptr<const Context>>(&created);
  REQUIRE_THAT(context);
  return *context;
}

// Making one takes longer than all that follows.
std::shared_ptr<const Context> cachedContext(Role role, size_t suite, bool ask, bool hint,
                                             bool newer) {
  static std::shared_ptr<const Context> cache[2][std::size(kSuites)][2][2][2];
  auto& place = cache[role == Role::Server][suite][ask][hint][newer];
  if (!place) place = contextOf(role, kSuites[suite], ask, hint, newer);
  return place;
}

std::shared_ptr<const dtls13::Settings> settingsOf(const PskPolicy& psk) {
  auto settings = std::make_shared<dtls13::Settings>();
  settings->psk = psk;
  return settings;
}

size_t suiteOf(const DtlsOptions& options) { return options.mtu % std::size(kSuites); }

}  // namespace

World::World(Powers powers, ByteView input) : powers_(powers), input_(input) {
  memory::net().clear();
  seedRandomness(1);
  setWallClock(now_);
  const uint8_t choices = input_.byte();
  const uint8_t more = input_.byte();
  const size_t suite = (more & 0x7f) % std::size(kSuites);
  newer_ = more & 0x80;
  falls_back_ = more & 0x40;
  asks_ = choices & 1;
  const bool hint = choices & 2;
  // A multiple, and the suite's number: clients find it there.
  dtls_.mtu = (choices & 4 ? 50 : 200) * std::size(kSuites) + suite;
  dtls_.handshake_timeout = 10'000;
  dtls_.retransmit_timeout = choices & 8 ? 100 : 0;
  dtls_.openssl_records = choices & 16;
  dtls_.keylog = choices & 32;
  if (choices & 64 && !dtls_.openssl_records) dtls_.connection_id = 4;
  admission_ = std::make_shared<Admission>(
      AdmissionLimits{.max_sessions = kMostSessions,
                      .max_handshakes = kMostHandshakes,
                      .evict_after = choices & 128 ? Milliseconds{5'000} : Milliseconds{0}});
  server_address_ = *Address::parse("127.0.0.1", 5'684);
  if (powers_.server) {
    ServerOptions options;
    options.local = server_address_;
    options.dtls = dtls_;
    options.idle_timeout = 60'000;
    options.cookie_secret = Bytes(32, 7);
    options.admission = admission_;
    auto context = cachedContext(Role::Server, suite, asks_, hint, newer_);
    if (newer_) options.dtls13 = settingsOf(context->options().psk);
    server_ = std::make_unique<ServerEndpoint>(kServer, services_, std::move(context),
                                               std::move(options));
    REQUIRE_THAT(!server_->open());
    server_->start();
  }
  for (size_t i = 0; i < powers_.clients; ++i) addClient(i != 1);
}

World::~World() {
  clients_.clear();
  server_.reset();
  memory::net().clear();
}

void World::addClient(bool has_key) {
  if (clients_.size() >= kMostClients) return;
  const auto number = static_cast<uint32_t>(clients_.size());
  const std::string host = "127.0.1." + std::to_string(number + 1);
  ClientOptions options;
  options.remote = server_address_;
  options.local = *Address::parse(host, 0);
  options.dtls = dtls_;
  options.idle_timeout = 60'000;
  if (newer_ && number % 2 == 0) options.dtls13 = settingsOf({});
  options.falls_back = options.dtls13 && falls_back_;
  // Every third is asked for its key by the server's hint.
  if (number % 3 != 2) options.key.emplace("Client1", PskEntry{keyOf(has_key)});
  auto endpoint = std::make_unique<ClientEndpoint>(
      kFirstClient + number, services_,
      cachedContext(Role::Client, suiteOf(dtls_), false, false, false), std::move(options));
  REQUIRE_THAT(!endpoint->open());
  Client& client = clients_.emplace_back();
  client.endpoint = std::move(endpoint);
  client.address = client.endpoint->localAddress();
  client.has_key = has_key;
  client.endpoint->start(now_);
  client.endpoint->flush();
  takeEvents();
}

// ---- what the input says -----------------------------------------------------------------------

void World::run() {
  for (size_t count = 0; count < kSteps && !input_.empty(); ++count) step();
  settle();
}

void World::step() {
  std::deque<memory::Packet>& sent = memory::net().sent;
  const uint8_t what = input_.byte();
  switch (what % 16) {
    case 0:
    case 1:
    case 2:  // the usual: the datagram that was sent first arrives
      carry(0, false);
      break;
    case 3:  // one overtakes
      carry(input_.byte(), false);
      break;
    case 4:  // one is doubled
      carry(input_.byte(), true);
      break;
    case 5:  // one is lost
      if (!sent.empty()) sent.erase(sent.begin() + input_.byte() % static_cast<int>(sent.size()));
      break;
    case 6: {  // one is damaged
      if (sent.empty()) break;
      alter(sent[input_.byte() % sent.size()].bytes);
      carry(0, false);
      break;
    }
    case 7: {  // an old one again, altered, perhaps from elsewhere
      if (history_.empty()) break;
      memory::Packet packet = history_[input_.byte() % history_.size()];
      const uint8_t choice = input_.byte();
      if (choice & 1) alter(packet.bytes);
      if (choice & 2) packet.from = stranger(choice >> 2);
      if (choice & 64) std::swap(packet.from, packet.to);
      sent.push_front(std::move(packet));
      carry(0, false);
      break;
    }
    case 8: {  // a stranger's
      if (!powers_.strangers) return pass(1);
      const uint8_t choice = input_.byte();
      memory::Packet packet;
      packet.bytes = input_.bytes(input_.byte());
      const bool to_client = !powers_.server || (choice & 128 && !clients_.empty());
      packet.from = to_client ? server_address_ : stranger(choice);
      packet.to = to_client ? clients_[choice % clients_.size()].address : server_address_;
      sent.push_front(std::move(packet));
      carry(0, false);
      break;
    }
    case 9:
      pass(uint64_t{1} << input_.byte() % 15);
      break;
    case 10:
      answer(input_.byte());
      break;
    case 11:  // somebody says something
      if (input_.byte() & 1 && server_ && !sessions_.empty()) {
        Bytes room(kRoomBefore + kRoomBehind + 16);
        const Bytes text = message("server");
        std::copy(text.begin(), text.end(), room.begin() + kRoomBefore);
        const MutableBytes one[] = {MutableBytes(room).subspan(kRoomBefore, text.size())};
        server_->send(*sessions_.begin(), one, now_);
        server_->flush();
      } else if (!clients_.empty()) {
        Client& client = clients_[input_.byte() % clients_.size()];
        Bytes room(kRoomBefore + kRoomBehind + 16);
        const Bytes text = message("client");
        std::copy(text.begin(), text.end(), room.begin() + kRoomBefore);
        const MutableBytes one[] = {MutableBytes(room).subspan(kRoomBefore, text.size())};
        client.endpoint->send(ClientEndpoint::kSession, one, now_);
        client.endpoint->flush();
      }
      break;
    case 12: {  // the application ends something
      const uint8_t choice = input_.byte();
      if (choice & 1 && server_ && !sessions_.empty()) {
        const uint32_t session = *sessions_.begin();
        sessions_.erase(session);
        server_->closeSession(session);
      } else if (choice & 2 && server_) {
        server_->endSessionsOf("Client1", {.code = "MCBN_REVOKED", .message = "revoked"});
      } else if (!clients_.empty()) {
        Client& client = clients_[choice % clients_.size()];
        client.endpoint->closeSession(ClientEndpoint::kSession);
        client.ended = true;
        client.endpoint->flush();
      }
      if (server_) server_->flush();
      break;
    }
    case 13:
      addClient(input_.byte() & 1);
      break;
    case 14: {  // the system refuses
      static constexpr int kErrors[] = {EAGAIN,   ENOBUFS,      EPERM,
                                        EMSGSIZE, ECONNREFUSED, ENETUNREACH};
      const uint8_t choice = input_.byte();
      memory::net().refusal = kErrors[choice % std::size(kErrors)];
      memory::net().refusals = 1 + choice / 64;
      break;
    }
    default:
      if (server_) {
        server_->setKeylog(what & 16);
        server_->evict(now_);
        if (!sessions_.empty()) server_->confirmAddress(*sessions_.begin(), "127.0.1.1", 41'002);
        server_->flush();
      }
      break;
  }
  takeEvents();
  check();
}

void World::carry(size_t index, bool again) {
  std::deque<memory::Packet>& sent = memory::net().sent;
  if (sent.empty()) return;
  index %= sent.size();
  memory::Packet packet = sent[index];
  if (!again) sent.erase(sent.begin() + static_cast<ptrdiff_t>(index));
  if (history_.size() < kHistory) history_.push_back(packet);
  if (!memory::net().deliver(packet)) return;
  if (server_ && packet.to == server_address_) {
    server_->receive(now_);
    server_->flush();
    return;
  }
  for (Client& client : clients_) {
    if (!(client.address == packet.to)) continue;
    client.endpoint->receive(now_);
    client.endpoint->flush();
  }
}

void World::alter(Bytes& bytes) {
  const uint8_t how = input_.byte();
  const size_t place = input_.byte();
  const uint8_t value = input_.byte();
  if (bytes.empty()) return;
  switch (how % 6) {
    case 0:
      bytes[place % bytes.size()] ^= value;
      break;
    case 1:  // the record's number
      if (bytes.size() >= kDtlsRecordHeaderBytes) bytes[5 + place % 6] = value;
      break;
    case 2:  // the handshake message's header
      if (bytes.size() >= kDtlsRecordHeaderBytes + 12) {
        bytes[kDtlsRecordHeaderBytes + place % 12] = value;
      }
      break;
    case 3:
      bytes.resize(place % bytes.size());
      break;
    case 4: {  // only one of its records
      ByteView rest(bytes);
      Bytes one;
      for (size_t skip = place % 4; const auto record = nextRecord(rest); --skip) {
        one.assign(record->whole.begin(), record->whole.end());
        if (skip == 0) break;
      }
      bytes = std::move(one);
      break;
    }
    default: {
      const Bytes more = input_.bytes(value);
      bytes.insert(bytes.end(), more.begin(), more.end());
    }
  }
}

void World::pass(uint64_t milliseconds) {
  now_ += milliseconds;
  setWallClock(now_);
  const auto expire = [this](Endpoint& endpoint) {
    if (endpoint.deadline() > now_) return;
    endpoint.expire(now_);
    endpoint.flush();
    REQUIRE_THAT(endpoint.deadline() > now_);
  };
  if (server_) expire(*server_);
  for (Client& client : clients_) expire(*client.endpoint);
  takeEvents();
}

void World::answer(uint8_t how) {
  const auto made = [how](const char* identity) {
    PskAnswer answer;
    if (how & 3) answer.entry = PskEntry{keyOf((how & 3) != 2)};
    answer.identity = identity;
    return answer;
  };
  const std::optional<Failure> failure =
      how & 4 ? std::optional(Failure{.code = "MCBN_LOOKUP_FAILED", .message = "no"})
              : std::nullopt;
  if (how & 8 && !asked_.empty()) {
    const size_t index = (how >> 4) % asked_.size();
    const Asked asked = asked_[index];
    asked_.erase(asked_.begin() + static_cast<ptrdiff_t>(index));
    REQUIRE_THAT(admission_->lookupSettled(asked.lookup));
    if (server_) {
      // Nobody else has a key.
      PskAnswer answer = made("");
      // A wrong answer is no client's key either, and nobody else has one.
      if (answer.entry && (how & 3) == 2) answer.entry->key = Secret(Bytes(32, 0x44));
      if (*asked.question.identity != "Client1") answer.entry.reset();
      server_->answer(asked.session, asked.question.number, std::move(answer), failure, now_);
      server_->flush();
    }
    return;
  }
  for (Client& client : clients_) {
    if (!client.question) continue;
    const PskQuestion question = *std::exchange(client.question, std::nullopt);
    client.has_key = (how & 3) == 1 || (how & 3) == 3;
    client.endpoint->answer(ClientEndpoint::kSession, question.number, made("Client1"), failure,
                            now_);
    client.endpoint->flush();
    return;
  }
}

const Address& World::stranger(uint8_t choice) {
  static const Address addresses[] = {
      *Address::parse("127.0.1.1", 41'002), *Address::parse("127.0.1.2", 41'003),
      *Address::parse("127.0.2.1", 7'000),  *Address::parse("127.0.2.1", 7'001),
      *Address::parse("127.0.2.2", 7'000),  *Address::parse("127.0.2.3", 0)};
  return addresses[choice % std::size(addresses)];
}

Bytes World::message(const char* from) {
  const std::string text = from + std::to_string(messages_++ % 10'000);
  Bytes bytes(text.begin(), text.end());
  sent_.insert(bytes);
  return bytes;
}

}  // namespace mcbn
