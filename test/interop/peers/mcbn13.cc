// The echo peer on mcbn's DTLS 1.3, without Node: what the others of its kind are tested with.
//
// Options: psk_ke, psk_dhe_ke (the only mode then; both otherwise); group=<number> (the only one);
// id=<bytes> (connection ID to us); sha384 (of the key); fragments=<bytes> (of a datagram). A message
// "update keys" has new keys made, in both directions, before it is sent back.
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>

#include "dtls13/cookie_exchange.h"
#include "dtls13/dtls13_session.h"

extern "C" {
#include "echo.h"
}

using namespace mcbn;
using namespace mcbn::dtls13;

namespace {

constexpr size_t kMaxDatagram = 65'536;

Milliseconds now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<Milliseconds>(time.tv_sec) * 1'000 + static_cast<Milliseconds>(time.tv_nsec) / 1'000'000;
}

// To a connected socket; messages wait until they are read.
struct Sink final : SessionSink {
  void datagram(ByteView bytes) override { (void)::send(socket, bytes.data(), bytes.size(), 0); }
  void lendDatagram(ByteView bytes) override { datagram(bytes); }
  uint8_t* reserveMessage(size_t capacity) override {
    room.resize(capacity);
    return room.data();
  }
  void commitMessage(size_t length) override {
    room.resize(length);
    messages.push_back(room);
  }
  uint8_t* reserveDatagram(size_t capacity) override {
    outgoing.resize(capacity);
    return outgoing.data();
  }
  void commitDatagram(size_t length) override { datagram(ByteView(outgoing).first(length)); }
  void opened(const Opened&, size_t) override { open = true; }
  void question(const PskQuestion&) override {}
  void ended(const std::optional<Failure>& failure) override {
    over = true;
    if (failure) std::fprintf(stderr, "%s: %s\n", failure->code, failure->message.c_str());
    broken = failure.has_value();
  }
  void keylog(const std::string& line) override { std::printf("keylog %s\n", line.c_str()); }
  void dropped(DropReason reason) override { std::fprintf(stderr, "dropped: %s\n", nameOf(reason)); }
  void retransmitted() override {}

  int socket = -1;
  bool open = false, over = false, broken = false;
  Bytes room, outgoing;
  std::deque<Bytes> messages;
};

struct Peer {
  Sink sink;
  std::unique_ptr<CookieExchange> cookies;
  std::unique_ptr<Dtls13Session> session;
  std::shared_ptr<Settings> settings;
  DtlsOptions options;
  std::optional<Bytes> own_id;
};
Peer* peer = nullptr;

std::unique_ptr<Dtls13Session> newSession(Role role) {
  auto made = std::make_unique<Dtls13Session>(role, peer->settings, peer->options);
  if (peer->own_id) made->useConnectionId(*peer->own_id);
  return made;
}

std::shared_ptr<Settings> settingsOf(const settings& told, const PskEntry& entry) {
  auto made = std::make_shared<Settings>();
  made->suites.clear();
  for (const Suite* const suite : kSuites) {
    if (std::string_view(suite->name) == told.suite) made->suites.push_back(suite);
  }
  const bool without = option_of(&told, "psk_ke"), with = option_of(&told, "psk_dhe_ke");
  made->modes = without ? kPskKe : with ? kPskDheKe : kPskKe | kPskDheKe;
  if (const char* const group = option_of(&told, "group")) {
    made->groups = {static_cast<Group>(std::atoi(group))};
  }
  auto table = std::make_shared<KeyTable>();
  table->set(told.identity, entry.clone());
  made->psk.table = table;
  return made;
}

// What an endpoint of one client does with a datagram.
void take(MutableBytes datagram) {
  if (peer->session) return peer->session->receive(datagram, now(), peer->sink);
  static constexpr uint8_t kAddress[] = "the only client";
  switch (peer->cookies->take(kAddress, datagram, static_cast<uint64_t>(time(nullptr)))) {
    case CookieExchange::Verdict::Answer:
      return peer->sink.datagram(peer->cookies->answer());
    case CookieExchange::Verdict::Verified:
      peer->session = newSession(Role::Server);
      return peer->session->accept(peer->cookies->hello(), now(), peer->sink);
    default:
      return;
  }
}

// Takes what waits, and does what is due.
void turn() {
  static uint8_t bytes[kMaxDatagram];
  ssize_t length = 0;
  while ((length = recv(peer->sink.socket, bytes, sizeof bytes, 0)) > 0) {
    take({bytes, static_cast<size_t>(length)});
  }
  if (peer->session && peer->session->deadline() <= now()) peer->session->expire(now(), peer->sink);
}

int untilDue() {
  const Milliseconds due = peer->session ? peer->session->deadline() : kNever;
  const Milliseconds time = now();
  constexpr Milliseconds kMost = 100;
  return static_cast<int>(due <= time ? 0 : std::min(due - time, kMost));
}

}  // namespace

int peer_open(const struct settings* told, int socket) {
  static Peer made;
  peer = &made;
  peer->sink.socket = socket;
  const bool sha384 = std::string_view(told->suite).ends_with("SHA384");
  const PskEntry entry{Secret({told->key, told->key_length}),
                       sha384 ? PskHash::Sha384 : PskHash::Sha256};
  peer->settings = settingsOf(*told, entry);
  if (peer->settings->suites.empty()) return 1;
  peer->options.keylog = true;
  if (const char* const mtu = option_of(told, "fragments")) {
    peer->options.mtu = static_cast<size_t>(std::atoi(mtu));
  }
  if (const char* const id = option_of(told, "id")) {
    peer->own_id = Bytes(static_cast<size_t>(std::atoi(id)), 'm');
  }
  if (told->server) {
    peer->cookies = std::make_unique<CookieExchange>(peer->settings, ByteView());
  } else {
    peer->session = newSession(Role::Client);
    peer->session->connect(std::pair(Identity(told->identity), entry.clone()), now(), peer->sink);
  }
  while (!peer->sink.open && !peer->sink.over) {
    readable(socket, untilDue());
    turn();
  }
  if (!peer->sink.open) return 1;
  const bool ids =
      !peer->session->peerConnectionId().empty() || !peer->session->ownConnectionIds().empty();
  std::printf("ids %d\n", ids ? 1 : 0);
  return 0;
}

int peer_export(unsigned char out[EXPORTER_BYTES]) {
  return peer->session->exportKeyingMaterial(EXPORTER_LABEL, std::nullopt, {out, EXPORTER_BYTES})
             ? 0
             : 1;
}

int peer_read(unsigned char* message, size_t capacity) {
  turn();
  if (!peer->sink.messages.empty()) {
    const Bytes next = std::move(peer->sink.messages.front());
    peer->sink.messages.pop_front();
    if (next.size() > capacity) return BROKEN;
    std::copy(next.begin(), next.end(), message);
    if (std::string_view(reinterpret_cast<const char*>(next.data()), next.size()) == "update keys") {
      peer->session->updateKeys(true, now(), peer->sink);
    }
    return static_cast<int>(next.size());
  }
  if (peer->sink.over) return peer->sink.broken ? BROKEN : PEER_CLOSED;
  return NOTHING_WAITS;
}

int peer_write(const unsigned char* message, size_t length) {
  return peer->session->send({message, length}, now(), peer->sink) ? 0 : 1;
}

void peer_close(void) { peer->session->close(peer->sink); }
