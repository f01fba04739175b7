// What nodes say to each other: forged, replayed, late and cut messages first.
#include "record/forwarding.h"

#include <doctest/doctest.h>

#include "wire.h"

using namespace mcbn;
using Fault = ForwardOpener::Fault;

namespace {

const Bytes kKey(forwarding::kKeyBytes, 7);
const Bytes kAddress = wire::fromHex("047f0000010050");
constexpr uint64_t kNow = 1'795'950'000;
const ForwardHeader kHeader{.kind = ForwardKind::ToOwner, .thread = 5, .to = 2, .from = 0};

Bytes sealed(ForwardSealer& sealer, const Bytes& content = wire::text("content"),
             uint64_t time = kNow, const ForwardHeader& header = kHeader) {
  Bytes out;
  const size_t length = sealer.seal(header, kAddress, content, time, out);
  REQUIRE(length > 0);
  REQUIRE(length == out.size());
  return out;
}

Fault faultOf(ForwardOpener& opener, Bytes message, uint64_t time = kNow) {
  return opener.open(message, time).fault;
}

}  // namespace

TEST_CASE("forwarding: every altered bit, and every cut, is refused and remembered by nobody") {
  ForwardSealer sealer(kKey, 1);
  ForwardOpener opener(kKey);
  const Bytes message = sealed(sealer);
  for (size_t bit = 0; bit < 8 * message.size(); ++bit) {
    Bytes altered = message;
    altered[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    CHECK(faultOf(opener, altered) == Fault::Forged);
  }
  for (size_t length = 0; length < message.size(); ++length) {
    CHECK(faultOf(opener, Bytes(message.begin(), message.begin() + static_cast<long>(length))) ==
          Fault::Forged);
  }
  Bytes longer = message;
  longer.push_back(0);
  CHECK(faultOf(opener, longer) == Fault::Forged);
  CHECK(faultOf(opener, message) == Fault::None);
}

TEST_CASE("forwarding: random bytes and another fleet's messages are refused") {
  std::mt19937 random(5);
  ForwardOpener opener(kKey);
  for (int i = 0; i < 2'000; ++i) {
    Bytes noise(random() % 200);
    for (uint8_t& byte : noise) byte = static_cast<uint8_t>(random());
    if (!noise.empty()) noise[0] = forwarding::kFormat;
    CHECK(faultOf(opener, noise) == Fault::Forged);
  }
  ForwardSealer stranger(Bytes(forwarding::kKeyBytes, 8), 1);
  CHECK(faultOf(opener, sealed(stranger)) == Fault::Forged);
}

TEST_CASE("forwarding: a message is taken once, in any order within the window") {
  ForwardSealer sealer(kKey, 1);
  ForwardOpener opener(kKey);
  std::vector<Bytes> messages;
  for (int i = 0; i < 5'000; ++i) messages.push_back(sealed(sealer));
  CHECK(faultOf(opener, messages[200]) == Fault::None);
  CHECK(faultOf(opener, messages[100]) == Fault::None);
  CHECK(faultOf(opener, messages[200]) == Fault::Replayed);
  CHECK(faultOf(opener, messages[100]) == Fault::Replayed);
  CHECK(faultOf(opener, messages[4'999]) == Fault::None);
  CHECK(faultOf(opener, messages[101]) == Fault::Replayed);  // older than the window
  CHECK(faultOf(opener, messages[4'000]) == Fault::None);
  // A forged number moves no window.
  Bytes forged = messages[4'998];
  std::fill_n(forged.begin() + forwarding::kHeaderBytes - 6, 6, 0xff);
  CHECK(faultOf(opener, forged) == Fault::Forged);
  CHECK(faultOf(opener, messages[4'998]) == Fault::None);
}

TEST_CASE("forwarding: an old message is refused by a process that never heard of its sender") {
  ForwardSealer sealer(kKey, 1);
  const Bytes early = sealed(sealer, {}, kNow - forwarding::kMostAge);
  const Bytes late = sealed(sealer, {}, kNow - forwarding::kMostAge - 1);
  const Bytes ahead = sealed(sealer, {}, kNow + forwarding::kMostAge + 1);
  ForwardOpener opener(kKey);
  CHECK(faultOf(opener, late) == Fault::Stale);
  CHECK(faultOf(opener, ahead) == Fault::Stale);
  CHECK(faultOf(opener, early) == Fault::None);
}

TEST_CASE("forwarding: a process of the same node that starts anew is another sender") {
  ForwardOpener opener(kKey);
  ForwardSealer before(kKey, 1), after(kKey, 1);
  CHECK_FALSE(std::ranges::equal(before.sender(), after.sender()));
  const Bytes one = sealed(before), other = sealed(after);
  CHECK(one != other);
  CHECK(faultOf(opener, one) == Fault::None);
  CHECK(faultOf(opener, other) == Fault::None);
  // Not in the name of another node.
  Bytes renamed = sealed(after);
  renamed[10] ^= 2;
  CHECK(faultOf(opener, renamed) == Fault::Forged);
}

TEST_CASE("forwarding: more senders than are remembered push out those silent longest") {
  ForwardOpener opener(kKey);
  ForwardSealer first(kKey, 1);
  const Bytes once = sealed(first);
  CHECK(faultOf(opener, once) == Fault::None);
  for (size_t i = 0; i < ForwardOpener::kMostSenders - 1; ++i) {
    ForwardSealer other(kKey, 2);
    CHECK(faultOf(opener, sealed(other)) == Fault::None);
  }
  CHECK(faultOf(opener, once) == Fault::Replayed);
  ForwardSealer last(kKey, 3);
  CHECK(faultOf(opener, sealed(last)) == Fault::None);
  // Forgotten: what is left is the time.
  CHECK(faultOf(opener, once, kNow + forwarding::kMostAge + 1) == Fault::Stale);
}

TEST_CASE("forwarding: header, address and content come back as they were") {
  ForwardSealer sealer(kKey, 0xfffffffe);
  ForwardOpener opener(kKey);
  for (const ForwardKind kind : {ForwardKind::ToOwner, ForwardKind::ToClient,
                                 ForwardKind::Announcement, ForwardKind::Question}) {
    for (const size_t length : {0u, 1u, 1'400u, 16'000u}) {
      const Bytes content(length, 0x5a);
      Bytes message =
          sealed(sealer, content, kNow, {.kind = kind, .thread = 63, .to = 77, .from = 0});
      CHECK(message.size() == forwarding::kOverhead + kAddress.size() + length);
      CHECK(message[0] == forwarding::kFormat);
      CHECK(message[forwarding::kThreadOffset] == 63);
      const auto opened = opener.open(message, kNow);
      REQUIRE(opened.fault == Fault::None);
      CHECK(opened.header.kind == kind);
      CHECK(opened.header.to == 77);
      CHECK(opened.header.from == 0xfffffffe);
      CHECK(Bytes(opened.address.begin(), opened.address.end()) == kAddress);
      CHECK(Bytes(opened.content.begin(), opened.content.end()) == content);
      CHECK(std::ranges::equal(opened.sender, sealer.sender()));
    }
  }
}
