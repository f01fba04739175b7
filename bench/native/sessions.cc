// How long 100,000 open sessions take on their way out of a process, and into one.
//   cmake --build <dir> --target bench_sessions && <dir>/bench_sessions
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <vector>

#include "session/dtls_session.h"
#include "session/sealed_session.h"

using namespace mcbn;

namespace {

constexpr size_t kSessions = 100'000;
constexpr uint16_t kPskAes128Ccm8 = 0xc0a8;

std::shared_ptr<const Context> serverContext() {
  ContextOptions options;
  options.role = Role::Server;
  options.transport = Transport::Dtls;
  Context::Created made = Context::create(std::move(options));
  return std::get<std::shared_ptr<const Context>>(made);
}

OpenState stateOf(const SSL_CIPHER* cipher, size_t number) {
  Bytes secrets(ExporterSecrets::kBytes, static_cast<uint8_t>(number));
  putBigEndian(secrets.data(), number, 8);
  return {.cipher = cipher,
          .role = Role::Server,
          .secrets = ExporterSecrets(Secret(secrets), EVP_sha256(), true),
          .position = {.next_write = 20'000, .newest_read = 20'000, .seen = ~uint64_t{0},
                       .blocks = 100'000},
          .max_fragment = kMaxMessage,
          .ids = {Bytes(8, 1), Bytes(8, 2)},
          .return_routability = true,
          .identity = "Client1",
          .names = {},
          .round_trip = 20,
          .last_flight = {}};
}

template <typename Work>
void measure(const char* name, Work work) {
  const auto start = std::chrono::steady_clock::now();
  const std::clock_t busy = std::clock();
  work();
  const double processor = static_cast<double>(std::clock() - busy) / CLOCKS_PER_SEC;
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  std::printf("%-30s %8.3f s, processor %.3f s\n", name, taken.count(), processor);
}

}  // namespace

int main() {
  const auto context = serverContext();
  const SSL_CIPHER* const cipher = context->suiteOf(kPskAes128Ccm8);
  AddressBytes peer;
  if (!cipher || !peer.append(Bytes{4, 127, 0, 0, 1, 0x16, 0x33})) return 1;
  CipherContexts ciphers(4'096);
  std::vector<std::unique_ptr<DtlsSession>> sessions(kSessions);
  SessionSeal seal(Bytes(SessionSeal::kKeyBytes, 9));
  for (size_t i = 0; i < kSessions; ++i) {
    OpenState state = stateOf(cipher, i);
    state.keys = *state.secrets.recordKeys(aead::kAes128Ccm8, Role::Server);
    sessions[i] = std::make_unique<DtlsSession>(std::move(state), &ciphers);
  }
  std::vector<Bytes> sealed(kSessions);
  for (int run = 0; run < 3; ++run) {
    size_t bytes = 0;
    measure("100,000 sessions out", [&] {
      Bytes scratch;
      for (size_t i = 0; i < kSessions; ++i) {
        scratch.clear();
        if (!seal.seal({*sessions[i]->takeState(), peer, 0}, scratch)) std::abort();
        sealed[i] = scratch;
        bytes += scratch.size();
        sessions[i].reset();
      }
    });
    std::printf("%-30s %8.1f\n", "bytes each", static_cast<double>(bytes) / kSessions);
    measure("100,000 sessions in", [&] {
      ImportedSessions imported;
      for (size_t i = 0; i < kSessions; ++i) {
        auto opened = seal.unseal(sealed[i], *context);
        if (!opened.session || !imported.take(sealed[i])) std::abort();
        sessions[i] = std::make_unique<DtlsSession>(std::move(opened.session->state), &ciphers);
      }
    });
  }
}
