// The handshake messages of DTLS 1.3 as bytes: abuse first, then what is written and read again.
#include <doctest/doctest.h>

#include <algorithm>

#include "dtls13/flight.h"
#include "dtls13/handshake_messages.h"
#include "dtls13/message_inbox.h"
#include "wire.h"

using namespace mcbn;
using namespace mcbn::dtls13;
using wire::Noise;

namespace {

const Bytes kRandom(32, 0x11), kShare(32, 0x22), kCookie(68, 0x33), kId{1, 2, 3};
const Bytes kIdentity = wire::text("Client1"), kOther = wire::text("another");
const std::array<uint16_t, 2> kSuites{0x1301, 0x1303}, kGroups{0x001D, 0x0017};
const std::array<ByteView, 2> kIdentities{kIdentity, kOther};

ClientHelloFields fields() {
  return {.random = kRandom,
          .suites = kSuites,
          .groups = kGroups,
          .share_group = 0x001D,
          .share = kShare,
          .modes = kPskDheKe | kPskKe,
          .cookie = kCookie,
          .connection_id = kId,
          .servername = "example.org",
          .identities = kIdentities};
}

Bytes written(const ClientHelloFields& from = fields()) {
  Bytes body;
  writeClientHello(from, body);
  return body;
}

Fault parse(ByteView body) {
  ClientHello hello;
  return parseClientHello13(body, hello);
}

Bytes extension(uint16_t type, const Bytes& data) {
  Bytes out;
  Writer(out).u16(type).u16(data.size()).bytes(data);
  return out;
}

// A ClientHello with these extensions.
Bytes helloWith(const Bytes& extensions, const Bytes& suites = {0x13, 0x01}) {
  Bytes out;
  Writer(out).u16(0xFEFD).bytes(kRandom).u8(0).u8(0).u16(suites.size()).bytes(suites);
  Writer(out).u8(1).u8(0).u16(extensions.size()).bytes(extensions);
  return out;
}

const Bytes kVersions = extension(43, {2, 0xFE, 0xFC});
const Bytes kModes = extension(45, {1, 1});
const Bytes kGroupList = extension(10, {0, 2, 0, 0x1D});
Bytes sharesOf(const Bytes& entries) {
  Bytes data;
  Writer(data).u16(entries.size()).bytes(entries);
  return extension(51, data);
}
Bytes offersOf(const Bytes& identities, const Bytes& binders) {
  Bytes data;
  Writer(data).u16(identities.size()).bytes(identities).u16(binders.size()).bytes(binders);
  return extension(41, data);
}
const Bytes kOneIdentity{0, 1, 'x', 0, 0, 0, 0};
Bytes binders(unsigned count, uint8_t size = 32) {
  Bytes out;
  for (unsigned i = 0; i < count; ++i) {
    Bytes one(1 + size, 0xBB);
    one[0] = size;
    out.insert(out.end(), one.begin(), one.end());
  }
  return out;
}

}  // namespace

TEST_CASE(
    "dtls13 messages: a ClientHello that is cut anywhere is refused (RFC 8446 section 4.1.2)") {
  const Bytes body = written();
  for (size_t length = 0; length < body.size(); ++length) {
    CAPTURE(length);
    ClientHello hello;
    const Fault fault = parseClientHello13(ByteView(body).first(length), hello);
    // What ends before the extensions is a hello of an older version.
    CHECK((fault || !hello.speaks13));
  }
  Bytes longer = body;
  longer.push_back(0);
  CHECK(parse(longer) == alert::kDecodeError);
}

TEST_CASE("dtls13 messages: noise and damaged hellos are read without harm (seeds)") {
  const Bytes body = written();
  for (unsigned seed = 0; seed < 3'000; ++seed) {
    Noise noise(seed);
    const Bytes damaged = noise.damaged(body);
    ClientHello hello;
    ServerHello answer;
    if (!parseClientHello13(damaged, hello)) CHECK(hello.before_binders <= damaged.size());
    (void)parseServerHello(damaged, answer);
    std::string_view chosen;
    const std::string name = "coap";
    (void)parseEncryptedExtensions(damaged, true, {&name, 1}, chosen);
    bool flag = false;
    (void)parseNewConnectionId(damaged, flag, [](ByteView) {});
  }
}

TEST_CASE("dtls13 messages: extensions that RFC 8446 forbids") {
  struct Case {
    const char* name;
    Bytes extensions;
    Fault fault;
  };
  const Bytes offers = offersOf(kOneIdentity, binders(1));
  const Bytes share = sharesOf({0, 0x1D, 0, 1, 9});
  const Case cases[] = {
      {"nothing wrong", wire::joined({kVersions, kModes, kGroupList, share, offers}), {}},
      {"no DTLS 1.3, whatever else", wire::joined({extension(43, {2, 0xFE, 0xFD})}), {}},
      {"twice the same (section 4.2)", wire::joined({kVersions, kModes, kModes}),
       alert::kIllegalParameter},
      {"pre_shared_key not last (section 4.2.11)", wire::joined({kVersions, offers, kModes}),
       alert::kIllegalParameter},
      {"pre_shared_key without modes (section 4.2.9)", wire::joined({kVersions, offers}),
       alert::kMissingExtension},
      {"key_share without groups (section 9.2)", wire::joined({kVersions, kModes, share, offers}),
       alert::kMissingExtension},
      {"groups without key_share (section 9.2)",
       wire::joined({kVersions, kModes, kGroupList, offers}), alert::kMissingExtension},
      {"two shares of a group (section 4.2.8)",
       wire::joined(
           {kVersions, kModes, kGroupList, sharesOf({0, 0x1D, 0, 1, 9, 0, 0x1D, 0, 1, 8}), offers}),
       alert::kIllegalParameter},
      {"an empty share", wire::joined({kVersions, kModes, kGroupList, sharesOf({0, 0x1D, 0, 0})}),
       alert::kDecodeError},
      {"an empty identity (section 4.2.11)",
       wire::joined({kVersions, kModes, offersOf({0, 0, 0, 0, 0, 0}, binders(1))}),
       alert::kDecodeError},
      {"no identity", wire::joined({kVersions, kModes, offersOf({}, {})}), alert::kDecodeError},
      {"more identities than binders",
       wire::joined(
           {kVersions, kModes, offersOf(wire::joined({kOneIdentity, kOneIdentity}), binders(1))}),
       alert::kIllegalParameter},
      {"more binders than identities",
       wire::joined({kVersions, kModes, offersOf(kOneIdentity, binders(2))}),
       alert::kIllegalParameter},
      {"a binder of 31 bytes",
       wire::joined({kVersions, kModes, offersOf(kOneIdentity, binders(1, 31))}),
       alert::kDecodeError},
      {"an empty cookie (section 4.2.2)", wire::joined({kVersions, extension(44, {0, 0})}),
       alert::kDecodeError},
      {"no version in the list", wire::joined({extension(43, {0})}), alert::kDecodeError},
      {"half a version", wire::joined({extension(43, {1, 0xFE})}), alert::kDecodeError},
      {"no mode in the list", wire::joined({kVersions, extension(45, {0})}), alert::kDecodeError},
      {"an empty application protocol (RFC 7301 section 3.1)",
       wire::joined({kVersions, extension(16, {0, 1, 0})}), alert::kDecodeError},
      {"no application protocol", wire::joined({kVersions, extension(16, {0, 0})}),
       alert::kDecodeError},
      {"an application protocol longer than it says",
       wire::joined({kVersions, extension(16, {0, 3, 3, 'h', '2'})}), alert::kDecodeError},
      {"a return routability check with something in it (RFC 9853 section 3)",
       wire::joined({kVersions, extension(61, {1})}), alert::kDecodeError},
      {"a connection ID longer than it says", wire::joined({kVersions, extension(54, {3, 1})}),
       alert::kDecodeError},
  };
  for (const Case& each : cases) {
    CAPTURE(each.name);
    CHECK(parse(helloWith(each.extensions)) == each.fault);
  }
  Bytes many = kVersions;
  for (uint16_t type = 1'000; type < 1'064; ++type) {
    const Bytes one = extension(type, {});
    many.insert(many.end(), one.begin(), one.end());
  }
  CHECK(parse(helloWith(many)) == alert::kDecodeError);
}

TEST_CASE(
    "dtls13 messages: more key shares than anybody has groups cost nothing (RFC 8446 section "
    "4.2.8)") {
  const auto hello = [](uint16_t count) {
    Bytes entries;
    for (uint16_t group = 0; group < count; ++group) Writer(entries).u16(group).u16(1).u8(7);
    return helloWith(wire::joined(
        {kVersions, kModes, kGroupList, sharesOf(entries), offersOf(kOneIdentity, binders(1))}));
  };
  CHECK(parse(hello(32)) == Fault());
  CHECK(parse(hello(33)) == alert::kDecodeError);
}

TEST_CASE("dtls13 messages: what is unknown is passed over, GREASE included (RFC 8701)") {
  const Bytes body = helloWith(
      wire::joined({extension(0x0A0A, {}), extension(43, {6, 0x7A, 0x7A, 0xFE, 0xFC, 0xFE, 0xFD}),
                    extension(10, {0, 4, 0x1A, 0x1A, 0, 0x1D}),
                    sharesOf({0x1A, 0x1A, 0, 1, 0, 0, 0x1D, 0, 1, 7}),
                    extension(45, {3, 0x0B, 1, 0}), extension(13, {0, 2, 4, 3}),
                    extension(65037, Bytes(40, 1)), offersOf(kOneIdentity, binders(1))}),
      {0x2A, 0x2A, 0x13, 0x01});
  ClientHello hello;
  REQUIRE(!parseClientHello13(body, hello));
  CHECK(hello.speaks13);
  CHECK(hello.modes == (kPskKe | kPskDheKe));
  CHECK(hello.hasSuite(0x1301));
  CHECK(hello.hasGroup(0x001D));
  CHECK(hello.shareOf(0x001D).size() == 1);
  CHECK(hello.shareOf(0x0017).empty());
}

TEST_CASE("dtls13 messages: a ClientHello is read as it was written (RFC 8446 section 4.1.2)") {
  Bytes body;
  const size_t before = writeClientHello(fields(), body);
  ClientHello hello;
  REQUIRE(!parseClientHello13(body, hello));
  CHECK(hello.before_binders == before);
  CHECK(before == body.size() - 2 - 2 * 33);
  CHECK(std::ranges::equal(hello.cookie, kCookie));
  CHECK(std::ranges::equal(*hello.connection_id, kId));
  CHECK(hello.servername == "example.org");
  REQUIRE(hello.offered().size() == 2);
  CHECK(std::ranges::equal(hello.offered()[1].identity, kOther));
  CHECK(std::ranges::equal(hello.shareOf(0x001D), kShare));
  CHECK(hello.legacy_cookie_empty);
  CHECK(hello.session_id.empty());
}

TEST_CASE("dtls13 messages: more identities than are looked at are counted") {
  std::vector<ByteView> identities(kMostOffers + 3, kIdentity);
  ClientHelloFields many = fields();
  many.identities = identities;
  ClientHello hello;
  const Bytes body = written(many);
  REQUIRE(!parseClientHello13(body, hello));
  CHECK(hello.offer_count == kMostOffers + 3);
  CHECK(hello.offered().size() == kMostOffers);
}

TEST_CASE("dtls13 messages: a ServerHello, and what is refused in one (RFC 8446 section 4.1.3)") {
  Bytes body;
  writeServerHello({.random = kRandom,
                    .suite = 0x1301,
                    .group = 0x001D,
                    .share = kShare,
                    .psk = 1,
                    .connection_id = kId},
                   body);
  ServerHello hello;
  REQUIRE(!parseServerHello(body, hello));
  CHECK(hello.speaks13);
  CHECK(!hello.retry);
  CHECK(*hello.psk == 1);
  CHECK(*hello.group == 0x001D);
  CHECK(std::ranges::equal(*hello.connection_id, kId));
  for (size_t length = 0; length < body.size(); ++length) {
    ServerHello cut;
    const Fault fault = parseServerHello(ByteView(body).first(length), cut);
    CHECK((fault || !cut.speaks13));
  }
  const auto with = [](const Bytes& extensions, Bytes session = {}, uint16_t version = 0xFEFD) {
    Bytes out;
    Writer(out).u16(version).bytes(kRandom).u8(session.size()).bytes(session).u16(0x1301).u8(0);
    Writer(out).u16(extensions.size()).bytes(extensions);
    ServerHello read;
    return parseServerHello(out, read);
  };
  const Bytes version = extension(43, {0xFE, 0xFC});
  CHECK(!with(version));
  CHECK(with(extension(43, {0xFE, 0xFD})) == alert::kIllegalParameter);
  // RFC 9147 section 5: the session ID is not echoed.
  CHECK(with(version, {1, 2, 3}) == alert::kIllegalParameter);
  CHECK(with(version, {}, 0xFEFC) == alert::kIllegalParameter);
  CHECK(with(wire::joined({version, extension(44, {0, 1, 1})})) == alert::kIllegalParameter);
  CHECK(with(wire::joined({version, extension(13, {})})) == alert::kUnsupportedExtension);
  CHECK(with(wire::joined({version, version})) == alert::kIllegalParameter);
}

TEST_CASE(
    "dtls13 messages: a HelloRetryRequest, and the marks of a downgrade (RFC 8446 section 4.1.3)") {
  std::array<uint8_t, kMostRetryBytes> body;
  for (const uint16_t group : {uint16_t{0}, uint16_t{0x0017}}) {
    const size_t size = writeHelloRetryRequest(0x1301, group, kCookie, body.data());
    ServerHello hello;
    REQUIRE(!parseServerHello(ByteView(body).first(size), hello));
    CHECK(hello.retry);
    CHECK(hello.group.value_or(0) == group);
    CHECK(std::ranges::equal(hello.cookie, kCookie));
  }
  for (const uint8_t last : {uint8_t{0}, uint8_t{1}, uint8_t{2}}) {
    Bytes random = kRandom;
    const Bytes mark = wire::text("DOWNGRD");
    std::ranges::copy(mark, random.end() - 8);
    random.back() = last;
    Bytes old;
    Writer(old).u16(0xFEFD).bytes(random).u8(0).u16(0x00A8).u8(0);
    ServerHello hello;
    REQUIRE(!parseServerHello(old, hello));
    CHECK(!hello.speaks13);
    CHECK(hello.downgraded == (last < 2));
  }
}

TEST_CASE(
    "dtls13 messages: EncryptedExtensions answer only what was asked (RFC 8446 section 4.2)") {
  std::string_view chosen;
  Bytes out;
  const auto read = [&](const Bytes& extensions, bool named,
                        const std::vector<std::string>& alpn = {}) {
    out.clear();
    chosen = {};
    Writer(out).u16(extensions.size()).bytes(extensions);
    return parseEncryptedExtensions(out, named, alpn, chosen);
  };
  CHECK(!read({}, false));
  CHECK(!read(kGroupList, false));
  CHECK(!read(extension(0, {}), true));
  CHECK(read(extension(0, {}), false) == alert::kUnsupportedExtension);
  CHECK(read(extension(16, {0, 3, 2, 'h', '2'}), true) == alert::kUnsupportedExtension);
  CHECK(parseEncryptedExtensions({}, false, {}, chosen) == alert::kDecodeError);
  // RFC 7301 section 3.1: one of those that were offered.
  const Bytes h2 = extension(16, {0, 3, 2, 'h', '2'});
  CHECK(!read(h2, false, {"coap", "h2"}));
  CHECK(chosen == "h2");
  CHECK(read(h2, false, {"coap"}) == alert::kIllegalParameter);
  CHECK(read(extension(16, {0, 6, 2, 'h', '2', 2, 'h', '2'}), false, {"h2"}) ==
        alert::kDecodeError);
  CHECK(read(extension(16, {0, 0}), false, {"h2"}) == alert::kDecodeError);
  CHECK(!read({}, false, {"h2"}));
  CHECK(chosen.empty());
  for (const std::string& name : {std::string(), std::string("coap")}) {
    Bytes written;
    writeEncryptedExtensions(name, written);
    const std::vector<std::string> offered = {"x", "coap"};
    CHECK(!parseEncryptedExtensions(written, false, offered, chosen));
    CHECK(chosen == name);
    chosen = {};
  }
}

TEST_CASE(
    "dtls13 messages: KeyUpdate and NewConnectionId (RFC 8446 section 4.6.3, RFC 9147 section 9)") {
  bool flag = false;
  CHECK(!parseKeyUpdate(Bytes{1}, flag));
  CHECK(flag);
  CHECK(parseKeyUpdate(Bytes{2}, flag) == alert::kIllegalParameter);
  CHECK(parseKeyUpdate(Bytes{}, flag) == alert::kDecodeError);
  CHECK(parseKeyUpdate(Bytes{0, 0}, flag) == alert::kDecodeError);
  Bytes body;
  const std::array<Bytes, 2> ids{Bytes{1, 2}, Bytes{3, 4}};
  writeNewConnectionId(ids, true, body);
  std::vector<Bytes> read;
  const auto keep = [&](ByteView id) { read.emplace_back(id.begin(), id.end()); };
  REQUIRE(!parseNewConnectionId(body, flag, keep));
  CHECK(flag);
  CHECK(std::ranges::equal(read, ids));
  body.back() = 2;
  CHECK(parseNewConnectionId(body, flag, keep) == alert::kIllegalParameter);
  body.pop_back();
  CHECK(parseNewConnectionId(body, flag, keep) == alert::kDecodeError);
}

TEST_CASE(
    "dtls13 messages: an ACK is in order, lists each record once, and keeps the newest (RFC 9147 "
    "section 7)") {
  const Bytes ack = writeAck({{2, 7}, {0, 3}, {2, 1}, {2, 7}}, 1'000);
  CHECK(ack == wire::fromHex("0030"
                             "00000000000000000000000000000003"
                             "00000000000000020000000000000001"
                             "00000000000000020000000000000007"));
  CHECK(writeAck({{2, 7}, {0, 3}, {2, 1}}, 20) ==
        wire::fromHex("001000000000000000020000000000000007"));
  CHECK(writeAck({}, 1'000) == Bytes{0, 0});
}

TEST_CASE(
    "dtls13 inbox: messages come out whole and in order, however they came (RFC 9147 section "
    "5.5)") {
  const Bytes body = wire::text("abcdefghij");
  const auto piece = [&](uint16_t sequence, size_t from, size_t size) {
    return HandshakeFragment{.type = 8,
                             .length = 10,
                             .messageSequence = sequence,
                             .offset = static_cast<uint32_t>(from),
                             .body = ByteView(body).subspan(from, size)};
  };
  using Added = MessageInbox::Added;
  MessageInbox inbox;
  inbox.startAt(1);
  CHECK(inbox.add(piece(0, 0, 10), 2) == Added::Old);
  CHECK(inbox.add(piece(2, 0, 10), 2) == Added::Ahead);
  CHECK(inbox.add(piece(1, 6, 4), 2) == Added::Ahead);
  CHECK(inbox.add(piece(1, 0, 8), 2) == Added::Kept);  // they overlap
  REQUIRE(inbox.ready());
  CHECK(std::ranges::equal(inbox.body(), body));
  inbox.pop();
  CHECK(inbox.ready());
  inbox.pop();
  CHECK(!inbox.ready());
  CHECK(inbox.next() == 3);
  // Beyond the window, and in the clear beyond the next.
  CHECK(inbox.add(piece(7, 0, 10), 2) == Added::Refused);
  CHECK(inbox.add(piece(4, 0, 10), 0) == Added::Refused);
}

TEST_CASE("dtls13 inbox: numbers of messages do not begin anew (RFC 9147 section 5.2)") {
  MessageInbox inbox;
  inbox.startAt(0xFFFF);
  const Bytes body = wire::text("last");
  HandshakeFragment fragment{.type = 24, .length = 4, .messageSequence = 0xFFFF, .body = body};
  CHECK(inbox.add(fragment, 3) == MessageInbox::Added::Kept);
  REQUIRE(inbox.ready());
  inbox.pop();
  for (const uint16_t sequence : {0, 1, 0xFFFF}) {
    fragment.messageSequence = sequence;
    CHECK(inbox.add(fragment, 3) == MessageInbox::Added::Old);
  }
  Flight flight(200);
  flight.startAt(0xFFFF);
  CHECK(flight.mayPost());
  flight.post(3, 24, body);
  CHECK(!flight.mayPost());
}

TEST_CASE("dtls13 inbox: forged fragments do not shut the peer's out (RFC 9147 section 5.5)") {
  const Bytes body = wire::text("abcdefghij"), forged = wire::text("ABCDEFGHIJ");
  const auto piece = [](ByteView bytes, size_t size, uint8_t type = 2) {
    return HandshakeFragment{
        .type = type, .length = 10, .messageSequence = 0, .offset = 0, .body = bytes.first(size)};
  };
  using Added = MessageInbox::Added;
  MessageInbox inbox;
  CHECK(inbox.add(piece(forged, 5), 0) == Added::Kept);
  CHECK(inbox.add(piece(body, 10), 0) == Added::Kept);
  REQUIRE(inbox.ready());
  CHECK(std::ranges::equal(inbox.body(), body));
  // What is encrypted replaces what is not, and not the other way round.
  CHECK(inbox.add(piece(forged, 10, 8), 2) == Added::Kept);
  CHECK(inbox.epoch() == 2);
  CHECK(inbox.add(piece(body, 10), 0) == Added::Refused);
  // The peer contradicts itself.
  CHECK(inbox.add(piece(body, 10, 8), 2) == Added::Changed);
}
