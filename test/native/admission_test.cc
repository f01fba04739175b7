// Which peer may begin and which session goes, without sockets; and the same from several threads, for TSan.
#include "engine/admission.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdio>
#include <deque>
#include <thread>
#include <vector>

#include "base/recency.h"

using namespace mcbn;

namespace {

struct Item {
  explicit Item(int value) : name(value) {}
  int name;
  Item* older = nullptr;
  Item* newer = nullptr;
};

std::vector<int> drained(RecencyList<Item>& list) {
  std::vector<int> names;
  while (Item* oldest = list.oldest()) {
    names.push_back(oldest->name);
    list.erase(*oldest);
  }
  return names;
}

// Whether there was a place that was nobody's; else it is given back.
bool begun(Admission& admission, const std::string& host, Milliseconds now = 0) {
  const auto entry = admission.begin(host, false, now);
  if (entry == Admission::Entry::Free) return true;
  if (entry != Admission::Entry::Refused) admission.handshakeEnded(host);
  return false;
}

// An endpoint as Admission sees it, whose sessions are known by when they were last heard.
struct Server {
  explicit Server(Admission& shared) : admission(shared), member([this] { asked += 1; }) {
    admission.join(member);
  }
  ~Server() { admission.leave(member); }

  bool open(const std::string& host, Milliseconds now) {
    if (!begun(admission, host, now)) return false;
    if (admission.opened(member, host, now)) {
      evict(now);
      sessions.push_back(now);
      tell();
      return true;
    }
    admission.handshakeEnded(host);
    return false;
  }
  void evict(Milliseconds now) {
    for (size_t count = admission.takeEvictions(member); count > 0; --count) {
      if (sessions.empty() || !admission.stale(sessions.front(), now)) {
        admission.spared();
        continue;
      }
      sessions.pop_front();
      admission.sessionEnded("host", true);
      evicted += 1;
    }
    tell();
  }
  void tell() { member.silentSince(sessions.empty() ? kNever : sessions.front()); }

  Admission& admission;
  std::atomic<unsigned> asked = 0;
  Admission::Member member;
  std::deque<Milliseconds> sessions;  // the most silent one first
  unsigned evicted = 0;
};

}  // namespace

TEST_CASE("recency: the oldest is what was touched longest ago") {
  std::vector<Item> items;
  for (int i = 0; i < 5; ++i) items.emplace_back(i);
  RecencyList<Item> list;
  CHECK(list.oldest() == nullptr);
  CHECK_FALSE(list.contains(items[0]));
  for (Item& item : items) list.touch(item);
  CHECK(list.oldest() == &items[0]);
  list.touch(items[0]);  // the oldest
  list.touch(items[0]);  // the newest
  list.touch(items[2]);  // one in the middle
  list.erase(items[3]);
  list.erase(items[3]);
  CHECK_FALSE(list.contains(items[3]));
  CHECK(drained(list) == std::vector<int>{1, 4, 0, 2});
  list.touch(items[3]);
  CHECK(list.contains(items[3]));
  CHECK(drained(list) == std::vector<int>{3});
}

TEST_CASE("admission: sessions and handshakes count together, and a place that is left is free") {
  Admission admission({.max_sessions = 2});
  Server server(admission);
  CHECK(begun(admission, "a", 0));
  CHECK(server.open("a", 0));
  CHECK_FALSE(begun(admission, "a", 0));
  admission.handshakeEnded("a");
  CHECK(server.open("a", 0));
  CHECK_FALSE(server.open("b", 1'000'000));  // nobody is displaced where evictAfter is off
  admission.sessionEnded("a", false);
  CHECK(server.open("b", 0));
}

TEST_CASE("admission: one host has half of the handshakes, and begins a new one in its own place") {
  Admission admission({.max_handshakes = 4});
  CHECK(begun(admission, "a", 0));
  CHECK(begun(admission, "a", 0));
  CHECK_FALSE(begun(admission, "a", 0));
  CHECK(admission.begin("a", true, 0) == Admission::Entry::Free);
  admission.handshakeEnded("a");  // the one that was replaced
  CHECK_FALSE(begun(admission, "a", 0));
  CHECK(begun(admission, "b", 0));
  CHECK(begun(admission, "c", 0));
  CHECK_FALSE(begun(admission, "d", 0));
  admission.handshakeEnded("a");
  CHECK(begun(admission, "d", 0));
}

TEST_CASE("admission: no host has more than it leaves to others, however many there are") {
  Admission admission({.max_handshakes = 120});
  size_t first = 0, second = 0;
  while (begun(admission, "a")) first += 1;
  CHECK(first == 60);
  while (begun(admission, "b")) second += 1;
  CHECK(second == 30);
  // Those that hold places wait for each other's; a peer without one always finds one.
  for (int host = 0; host < 20; ++host) CHECK(begun(admission, std::to_string(host)));
}

TEST_CASE(
    "admission: an IPv6 network of 48 bits leaves places to others, however many hosts it has") {
  const auto host = [](unsigned network, unsigned number) {
    char text[40];
    std::snprintf(text, sizeof text, "2001:db8:%x:%x::1", network, number);
    return hostKey(*Address::parse(text, 1));
  };
  CHECK(networkKey(host(1, 2)) == networkKey(host(1, 3)));
  CHECK(networkKey(host(1, 2)) != networkKey(host(2, 2)));
  CHECK(networkKey(hostKey(*Address::parse("192.0.2.1", 1))).empty());
  CHECK(networkKey(hostKey(*Address::parse("fe80::1", 1))).empty());

  Admission admission({.max_handshakes = 120});
  unsigned began = 0;
  while (began < 1'000 && begun(admission, host(1, began))) began += 1;
  CHECK(began == 96);  // and four times as many as are left
  CHECK(admission.begin(host(1, began), false, 0) == Admission::Entry::NetworkFull);
  admission.handshakeEnded(host(1, 0));  // the one that went for it
  for (unsigned other = 2; other < 26; ++other) CHECK(begun(admission, host(other, 0)));
  // All are taken now: of a network that has no such share anybody's goes.
  CHECK(admission.begin(host(1, 0), false, 0) == Admission::Entry::NetworkFull);
  admission.handshakeEnded(host(1, 1));
  CHECK(admission.begin(host(2, 1), false, 0) == Admission::Entry::Full);

  unsigned lookups = 0;
  while (lookups < 1'000 && admission.beginLookup(host(3, lookups))) lookups += 1;
  CHECK(lookups == 96);
  CHECK(admission.beginLookup(host(4, 0)));
}

TEST_CASE("admission: where no place is left, an own handshake goes, or anybody's") {
  Admission admission({.max_handshakes = 3});
  CHECK(begun(admission, "a"));
  CHECK(admission.begin("a", false, 0) == Admission::Entry::Free);
  CHECK(admission.begin("a", false, 0) == Admission::Entry::HostFull);
  admission.handshakeEnded("a");  // the one that went for it
  CHECK(admission.begin("b", false, 0) == Admission::Entry::Free);
  CHECK(admission.begin("c", false, 0) == Admission::Entry::Full);
  CHECK(admission.handshakesOf("c") == 1);
  CHECK(admission.handshakesOf("a") == 2);
}

TEST_CASE("admission: lookups count until they settle, by host, and not beyond maxHandshakes") {
  Admission admission({.max_handshakes = 4});
  const auto one = admission.beginLookup("a"), two = admission.beginLookup("a");
  REQUIRE(one);
  REQUIRE(two);
  CHECK_FALSE(admission.beginLookup("a"));
  CHECK(admission.beginLookup("b"));
  CHECK(admission.beginLookup("c"));
  CHECK_FALSE(admission.beginLookup("d"));
  CHECK(admission.lookupSettled(*one));
  CHECK_FALSE(admission.lookupSettled(*one));
  CHECK_FALSE(admission.lookupSettled(0));
  CHECK(admission.beginLookup("d"));
  CHECK_FALSE(admission.beginLookup("e"));
}

TEST_CASE(
    "admission: another thread's handshake goes when it has waited longest, and long enough") {
  Admission admission({.max_handshakes = 2});
  Server one(admission), two(admission);
  two.member.waitsSince(1'000);
  CHECK_FALSE(admission.displaceElsewhere(one.member, 1'499));
  CHECK_FALSE(admission.displaceElsewhere(two.member, 5'000));  // nobody else has one
  CHECK(admission.displaceElsewhere(one.member, 1'500));
  CHECK(two.asked == 1);
  CHECK(admission.takeDisplaced(two.member) == 1);
  CHECK(admission.takeDisplaced(two.member) == 0);
  for (int owed = 0; owed < 16; ++owed) CHECK(admission.displaceElsewhere(one.member, 1'500));
  CHECK_FALSE(admission.displaceElsewhere(one.member, 1'500));
}

TEST_CASE("admission: an IPv6 network of 64 bits is one host, an IPv4 address another") {
  const auto keyOf = [](const char* text) {
    const auto address = Address::parse(text, 1);
    REQUIRE(address);
    return hostKey(*address);
  };
  CHECK(keyOf("2001:db8:1:2::1") == keyOf("2001:db8:1:2:ffff:ffff:ffff:ffff"));
  CHECK(keyOf("2001:db8:1:2::1") != keyOf("2001:db8:1:3::1"));
  // Each of these stands for its own host: IPv4, and what stands for it, and a link's addresses.
  for (const auto& [first, second] :
       {std::pair{"192.0.2.1", "192.0.2.2"}, std::pair{"::ffff:192.0.2.1", "::ffff:192.0.2.2"},
        std::pair{"64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2"}, std::pair{"fe80::1", "fe80::2"}}) {
    const std::string one = first;
    CHECK_MESSAGE(keyOf(first) != keyOf(second), one);
  }
  // So 2^64 addresses have half of the places, as one does.
  AdmissionLimits limits;
  limits.max_handshakes = 8;
  Admission admission(limits);
  int begun_by_network = 0;
  for (int host = 1; host <= 8; ++host) {
    begun_by_network += begun(admission, keyOf(("2001:db8::" + std::to_string(host)).c_str()));
  }
  CHECK(begun_by_network == 4);
  CHECK(begun(admission, keyOf("2001:db8:0:1::1")));
}

TEST_CASE("admission: sessions of one host, handshakes included") {
  Admission admission({.max_sessions_per_host = 2});
  Server server(admission);
  CHECK(server.open("a", 0));
  CHECK(begun(admission, "a", 0));
  CHECK_FALSE(begun(admission, "a", 0));
  CHECK(server.open("b", 0));
  admission.handshakeEnded("a");
  CHECK(server.open("a", 0));
  CHECK_FALSE(server.open("a", 0));
  admission.sessionEnded("a", false);
  CHECK(server.open("a", 0));
}

TEST_CASE("admission: a newcomer displaces the session that was silent longest, on any thread") {
  Admission admission({.max_sessions = 3, .evict_after = 100});
  Server one(admission), two(admission);
  CHECK(two.open("host", 10));
  CHECK(one.open("host", 20));
  CHECK(one.open("host", 30));
  CHECK_FALSE(one.open("host", 109));  // nobody was silent for so long
  CHECK(one.open("host", 110));
  CHECK(two.asked == 1);
  two.evict(110);
  CHECK(two.evicted == 1);
  CHECK(two.sessions.empty());
  // Now the most silent one is the newcomer's own thread's.
  CHECK(one.open("host", 130));
  CHECK(one.evicted == 1);
  CHECK(one.asked == 0);
  CHECK(one.sessions == std::deque<Milliseconds>{30, 110, 130});
}

TEST_CASE("admission: a handshake displaces nobody, however many there are") {
  Admission admission({.max_sessions = 2, .max_handshakes = 6, .evict_after = 100});
  Server server(admission);
  CHECK(server.open("host", 0));
  CHECK(server.open("host", 0));
  for (const char* host : {"a", "a", "a", "b", "b", "c"}) CHECK(begun(admission, host, 500));
  CHECK_FALSE(begun(admission, "d", 500));
  CHECK(admission.takeEvictions(server.member) == 0);
  CHECK(server.sessions.size() == 2);
  // Strangers' handshakes are not what makes the server full: a place that is free is taken first.
  server.sessions.pop_front();
  admission.sessionEnded("host", false);
  CHECK(admission.opened(server.member, "a", 500));
  CHECK(admission.takeEvictions(server.member) == 0);
}

TEST_CASE("admission: who was heard meanwhile stays, and the next one pays for it") {
  Admission admission({.max_sessions = 2, .evict_after = 100});
  Server one(admission), two(admission);
  CHECK(two.open("host", 0));
  CHECK(two.open("host", 0));
  CHECK(one.open("host", 100));
  two.sessions = {150, 150};
  two.evict(150);
  CHECK(two.evicted == 0);
  CHECK_FALSE(one.open("host", 160));
  CHECK(one.open("host", 250));  // of three, one too many, the two most silent go
  two.evict(250);
  CHECK(one.evicted + two.evicted == 2);
  CHECK(one.sessions.size() + two.sessions.size() == 2);
}

TEST_CASE("admission: several threads at once keep the limit and lose no place") {
  constexpr size_t kThreads = 4, kRounds = 2'000, kSessions = 16;
  Admission admission({.max_sessions = kSessions, .evict_after = 1});
  std::deque<Server> servers;
  for (size_t i = 0; i < kThreads; ++i) servers.emplace_back(admission);
  std::atomic<Milliseconds> clock = 1;
  std::atomic<size_t> opened = 0;
  std::vector<std::thread> threads;
  for (Server& server : servers) {
    threads.emplace_back([&] {
      for (size_t round = 0; round < kRounds; ++round) {
        const Milliseconds now = clock.fetch_add(1);
        if (server.asked.exchange(0) > 0) server.evict(now);
        opened += server.open("host", now);
        if (round % 16 == 0 && !server.sessions.empty()) {
          server.sessions.pop_front();
          server.tell();
          admission.sessionEnded("host", false);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(opened > kRounds);
  // What is owed is paid; then the count is that of the sessions that are there.
  size_t open = 0;
  for (Server& server : servers) {
    server.evict(clock + 10);
    open += server.sessions.size();
  }
  CHECK(open <= kSessions + 16 * kThreads);
  for (Server& server : servers) {
    for (; !server.sessions.empty(); server.sessions.pop_front()) {
      admission.sessionEnded("host", false);
    }
    server.tell();
  }
  for (size_t i = 0; i < kSessions; ++i) CHECK(begun(admission, "host", 0));
  CHECK_FALSE(begun(admission, "host", 0));
}
