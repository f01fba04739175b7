// Every message of a handshake at every moment of DTLS 1.3, in every epoch: those that have no place
// change nothing if anybody can have sent them, and end the session in words if the peer did.
#include <doctest/doctest.h>

#include "dtls13_hand_made.h"

using namespace mcbn;
using namespace mcbn::dtls13;

namespace {

using State = Dtls13Session::State;

// Message types, known ones of TLS 1.2 and 1.3 and unknown ones.
constexpr uint8_t kTypes[] = {0,  1,  2,  3,  4,  5,  8,  9,  10, 11, 12, 13,
                              14, 15, 16, 20, 21, 22, 23, 24, 25, 67, 254};

struct Moment {
  const char* name;
  Role victim;
  // Which datagrams are lost until the moment is there.
  std::function<bool(Pair13&, Side from, const Bytes&)> loses;
  std::function<bool(Pair13&)> reached;
  uint16_t next;  // message_seq that the victim waits for
  bool ask = false;
};

bool isEncrypted(const Bytes& bytes) { return bytes[0] >> 5 == 1; }
bool isFirstHello(const Bytes& bytes) { return bytes[0] == 22 && bytes[18] == 0; }

const Moment kMoments[] = {
    {"a client has said hello", Role::Client,
     [](Pair13&, Side from, const Bytes&) { return from == Side::Client; },
     [](Pair13& pair) { return !pair.at_client.sent.empty(); }, 0},
    {"a client has said hello again", Role::Client,
     [](Pair13&, Side from, const Bytes& bytes) {
       return from == Side::Client && !isFirstHello(bytes);
     },
     [](Pair13& pair) {
       return std::ranges::any_of(pair.at_client.sent, std::not_fn(isFirstHello));
     },
     1},
    {"a client awaits EncryptedExtensions", Role::Client,
     [](Pair13&, Side from, const Bytes& bytes) {
       return from == Side::Server && isEncrypted(bytes);
     },
     [](Pair13& pair) { return pair.client->records().reads(2); }, 2},
    {"a server awaits a key", Role::Server, [](Pair13&, Side, const Bytes&) { return false; },
     [](Pair13& pair) { return !pair.at_server.questions.empty(); }, 2, true},
    {"a server awaits the Finished", Role::Server,
     [](Pair13&, Side from, const Bytes& bytes) {
       return from == Side::Client && isEncrypted(bytes);
     },
     [](Pair13& pair) { return pair.client->open() && pair.server->awaitsFinished(); }, 2},
    {"a client is open", Role::Client, [](Pair13&, Side, const Bytes&) { return false; },
     [](Pair13& pair) { return pair.bothOpen() && pair.client->deadline() == kNever; }, 4},
    {"a server is open", Role::Server, [](Pair13&, Side, const Bytes&) { return false; },
     [](Pair13& pair) { return pair.bothOpen() && pair.client->deadline() == kNever; }, 3},
};

struct Reached {
  explicit Reached(const Moment& moment) : pair(optionsOf(moment)), victim(moment.victim) {
    pair.fate = [this, &moment](Side from, Bytes& bytes) {
      return moment.loses(pair, from, bytes) ? std::vector<Milliseconds>{} : kAtOnce;
    };
    pair.connect();
    pair.run([&] { return moment.reached(pair); });
    REQUIRE(moment.reached(pair));
    pair.fate = [](Side, Bytes&) { return kAtOnce; };
  }

  static Pair13Options optionsOf(const Moment& moment) {
    Pair13Options options{.ask = moment.ask, .dtls = brisk()};
    options.dtls.mtu = 150;  // EncryptedExtensions and ServerHello in separate datagrams
    options.dtls.keylog = true;
    return options;
  }
  Dtls13Session& session() { return victim == Role::Client ? *pair.client : *pair.server; }
  RecordingSink& sink() { return victim == Role::Client ? pair.at_client : pair.at_server; }
  void hear(Bytes datagram) { session().receive(datagram, pair.now, sink()); }
  // As the victim's peer would say it, once it has the keys.
  Bytes said(uint64_t epoch, const Bytes& message) {
    const std::string name = std::string(victim == Role::Client ? "SERVER" : "CLIENT") +
                             (epoch == 2 ? "_HANDSHAKE_TRAFFIC_SECRET" : "_TRAFFIC_SECRET_0");
    for (const RecordingSink* sink : {&pair.at_client, &pair.at_server}) {
      for (const std::string& line : sink->lines) {
        if (!line.starts_with(name + " ")) continue;
        const Bytes secret = wire::fromHex(std::string_view(line).substr(line.rfind(' ') + 1));
        return Voice(epoch, suite::kAes128Gcm, Secret(secret)).says(message);
      }
    }
    return {};
  }

  Pair13 pair;
  const Role victim;
};

const Bytes kBodies[] = {{}, {0}, {7}, {0, 0, 0}, Bytes(40, 1), Bytes(32, 0xAA)};

}  // namespace

TEST_CASE(
    "dtls13 state machine: no message in the clear changes a handshake, at any moment (RFC 9147 "
    "sections 5.2, 6.1)") {
  for (const Moment& moment : kMoments) {
    CAPTURE(moment.name);
    for (const uint8_t type : kTypes) {
      CAPTURE(unsigned{type});
      Reached at(moment);
      const State before = at.session().state();
      const size_t opens = at.sink().opens.size();
      uint64_t number = 60;
      for (const uint16_t sequence :
           {uint16_t{0}, moment.next, static_cast<uint16_t>(moment.next + 1), uint16_t{0xFFFF}}) {
        for (const Bytes& body : kBodies) {
          at.hear(wire::record(22, 0, number++, wire::message(type, sequence, body)));
        }
      }
      CHECK(at.session().state() == before);
      CHECK(at.sink().opens.size() == opens);
      CHECK(at.sink().endings.empty());
      if (moment.ask)
        at.pair.server->answer(1, answerWith(0x42), {}, at.pair.now, at.pair.at_server);
      at.pair.run([&] { return at.pair.bothOpen(); }, at.pair.now + 6'000);
      REQUIRE(at.pair.bothOpen());
      at.pair.drain();
      exchangeMessages(at.pair);
    }
  }
}

TEST_CASE(
    "dtls13 state machine: what the peer says out of its turn ends the session in words (RFC 8446 "
    "appendix A)") {
  unsigned ended = 0, went_on = 0;
  for (const Moment& moment : kMoments) {
    CAPTURE(moment.name);
    for (const uint64_t epoch : {2, 3}) {
      CAPTURE(epoch);
      for (const uint8_t type : kTypes) {
        CAPTURE(unsigned{type});
        for (const Bytes& body : kBodies) {
          Reached at(moment);
          const bool was_open = at.session().open();
          const Bytes datagram = at.said(epoch, wire::message(type, moment.next, body));
          if (datagram.empty()) continue;  // nobody has such keys yet
          at.hear(datagram);
          if (at.session().state() == State::Ended) {
            ended += 1;
            REQUIRE(at.sink().endings.size() == 1);
            REQUIRE(at.sink().endings[0].has_value());
            CHECK(at.sink().endings[0]->alert != kNoAlert);
            CHECK(!at.sink().endings[0]->message.empty());
            continue;
          }
          went_on += 1;
          // Nothing opens by it, and what was open has been told nothing.
          CHECK(at.session().open() == was_open);
          CHECK(at.sink().messages.empty());
          // In an open session: tickets, KeyUpdates, and what belongs to another epoch.
          const bool allowed = type == message_type::kNewSessionTicket ||
                               type == message_type::kKeyUpdate || !was_open ||
                               !at.session().records().reads(epoch);
          CHECK(allowed);
        }
      }
    }
  }
  MESSAGE(ended, " ended, ", went_on, " went on");
  CHECK(ended > 500);
}
