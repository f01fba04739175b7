// Every allocation of ours in a handshake, in messages and in an export fails once. native/ is built without
// exceptions, so none of them can be survived: the process ends there, before anything goes on with half of
// what it needs. A separate program, since it brings its own operator new; each place is tried in a child.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <new>
#include <thread>

#include "dtls_pair.h"
#include "session/sealed_session.h"

using namespace mcbn;

namespace {

long countdown = -1;  // allocations until one fails; negative: none
bool failed = false;

void* allocate(size_t size) {
  if (countdown >= 0 && countdown-- == 0) {
    failed = true;
    throw std::bad_alloc();
  }
  if (void* const memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(size_t size) { return allocate(size); }
void* operator new[](size_t size) { return allocate(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }

namespace {

// What a child ends with. A sanitizer's report has another status.
constexpr int kWhole = 70;       // no allocation failed
constexpr int kTerminated = 71;  // std::terminate
constexpr int kWentOn = 72;      // one failed, and the end was reached all the same
constexpr int kBroken = 73;      // none failed, and it did not work

void carryAll(DtlsPair& pair, Milliseconds now) {
  for (int count = 0; count < 100 && pair.carryOne(now, [](Bytes&) { return true; });) ++count;
}

// A handshake with a lookup on either side, a message each way, an export and an import.
bool live(const PairOptions& options) {
  const Milliseconds now = steadyNow();
  DtlsPair pair(options);
  pair.connect(now);
  carryAll(pair, now);
  for (auto* const sink : {&pair.at_client, &pair.at_server}) {
    DtlsSession& session = sink == &pair.at_client ? *pair.client : *pair.server;
    if (sink->questions.empty()) continue;
    session.answer(sink->questions[0].number, answerWith(0x42, "Client1"), {}, now, *sink);
    carryAll(pair, now);
  }
  if (!pair.bothOpen()) return false;
  const Bytes text = {'h', 'i'};
  if (!pair.client->send(text, now, pair.at_client)) return false;
  carryAll(pair, now);
  if (!pair.server->send(text, now, pair.at_server)) return false;
  carryAll(pair, now);
  auto state = pair.server->takeState();
  if (!state) return false;
  SessionSeal seal(Bytes(SessionSeal::kKeyBytes, 0x5e));
  Bytes sealed;
  AddressBytes nobody;
  if (!seal.seal({std::move(*state), nobody, 0}, sealed)) return false;
  auto opened = seal.unseal(sealed, *pair.server_context);
  if (!opened.session) return false;
  DtlsSession again(std::move(*opened.session->of12()), nullptr);
  return again.send(text, now, pair.at_server) && pair.at_server.messages.size() == 1;
}

// In a thread, as the I/O thread has it: doctest would catch what is thrown here.
int statusOf(const PairOptions& options, long nth) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::set_terminate([] { _exit(kTerminated); });
    bool worked = false;
    std::thread thread([&] {
      countdown = nth;
      worked = live(options);
      countdown = -1;
    });
    thread.join();
    _exit(failed ? kWentOn : worked ? kWhole : kBroken);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace

TEST_CASE("own allocations: the process ends where one fails, and never goes on without it") {
  for (const bool asks : {false, true}) {
    CAPTURE(asks);
    const PairOptions options{.ciphers = "PSK-AES128-CCM8", .ask = asks, .client_asks = asks};
    long nth = 0;
    for (int status = 0; status != kWhole; ++nth) {
      CAPTURE(nth);
      status = statusOf(options, nth);
      if (status != kWhole) REQUIRE(status == kTerminated);
    }
    CHECK(nth > 100);
    MESSAGE((nth - 1) << " places");
  }
}

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  return context.run();
}
