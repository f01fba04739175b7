// Microseconds that a handshake takes on either side, without sockets and JavaScript: the cookie exchange, then
// both until they are open. DTLS 1.2 is OpenSSL's, DTLS 1.3 mcbn's.
//   cmake --build <dir> --target bench_handshakes && <dir>/bench_handshakes
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <vector>

#include "dtls13/cookie_exchange.h"
#include "dtls13/dtls13_session.h"
#include "record/cookie.h"
#include "record/hello_verify_request.h"
#include "session/dtls_session.h"

using namespace mcbn;
using Clock = std::chrono::steady_clock;

namespace {

constexpr int kHandshakes = 2'000, kRuns = 7;
constexpr uint64_t kWallSeconds = 1'000'000;
const Bytes kAddress = {4, 127, 0, 0, 1, 0x16, 0x33};
const Bytes kCookieSecret(32, 7);

void check(bool works) {
  if (!works) std::abort();
}

// What one side sends, and whether it is open.
struct Sink final : SessionSink {
  void datagram(ByteView bytes) override { sent.emplace_back(bytes.begin(), bytes.end()); }
  void lendDatagram(ByteView bytes) override { datagram(bytes); }
  uint8_t* reserveMessage(size_t capacity) override {
    scratch.resize(capacity);
    return scratch.data();
  }
  void commitMessage(size_t) override {}
  uint8_t* reserveDatagram(size_t capacity) override { return reserveMessage(capacity); }
  void commitDatagram(size_t length) override { datagram(ByteView(scratch).first(length)); }
  void opened(const Opened&, size_t) override { open = true; }
  bool mayAsk() override { return true; }
  void question(const PskQuestion&) override {}
  void ended(const std::optional<Failure>&) override { std::abort(); }
  void keylog(const std::string&) override {}
  void dropped(DropReason) override {}
  void retransmitted() override {}

  std::vector<Bytes> sent;
  Bytes scratch;
  bool open = false;
};

PskEntry entry() { return {Secret(Bytes(32, 0x42))}; }

std::shared_ptr<KeyTable> table() {
  auto made = std::make_shared<KeyTable>();
  made->set("Client1", entry());
  return made;
}

DtlsOptions dtlsOptions() {
  DtlsOptions options;
  options.mtu = 1'200;
  options.handshake_timeout = 10'000;
  return options;
}

struct Older {
  using Session = DtlsSession;

  explicit Older(const char* suite) {
    for (const Role role : {Role::Client, Role::Server}) {
      ContextOptions options;
      options.role = role;
      options.transport = Transport::Dtls;
      options.ciphers = suite;
      if (role == Role::Server) options.psk = {.table = table(), .ask = false};
      auto made = Context::create(std::move(options));
      check(made.index() == 0);
      (role == Role::Client ? client_context : server_context) = std::get<0>(made);
    }
  }

  std::unique_ptr<Session> client(Sink& sink) {
    auto made = std::make_unique<Session>(client_context, dtlsOptions(), &ciphers);
    made->connect(std::pair<Identity, PskEntry>("Client1", entry()), 1, sink);
    return made;
  }
  // The answer to a first hello, or a session for a second.
  std::unique_ptr<Session> greet(Bytes& datagram, Sink& sink) {
    const auto hello = parseClientHello(datagram);
    check(hello.has_value());
    if (hello->cookie.empty()) {
      sink.datagram(
          helloVerifyRequest(*hello, cookies.make(kAddress, *hello, kWallSeconds)));
      return nullptr;
    }
    check(cookies.verify(kAddress, *hello, kWallSeconds, hello->cookie));
    auto made = std::make_unique<Session>(server_context, dtlsOptions(), &ciphers);
    made->accept(datagram, 1, sink);
    return made;
  }

  std::shared_ptr<const Context> client_context, server_context;
  CipherContexts ciphers{4'096};
  Cookies cookies{kCookieSecret};
};

struct Newer {
  using Session = dtls13::Dtls13Session;

  explicit Newer(uint8_t modes) {
    auto made = std::make_shared<dtls13::Settings>();
    made->modes = modes;
    made->psk.table = table();
    settings = made;
    cookies = std::make_unique<dtls13::CookieExchange>(settings, kCookieSecret);
  }

  std::unique_ptr<Session> client(Sink& sink) {
    auto made = std::make_unique<Session>(Role::Client, settings, dtlsOptions());
    made->connect(std::pair<Identity, PskEntry>("Client1", entry()), 1, sink);
    return made;
  }
  std::unique_ptr<Session> greet(Bytes& datagram, Sink& sink) {
    const auto verdict = cookies->take(kAddress, datagram, kWallSeconds);
    if (verdict == dtls13::CookieExchange::Verdict::Answer) {
      sink.datagram(cookies->answer());
      return nullptr;
    }
    check(verdict == dtls13::CookieExchange::Verdict::Verified);
    auto made = std::make_unique<Session>(Role::Server, settings, dtlsOptions());
    made->accept(cookies->hello(), 1, sink);
    return made;
  }

  std::shared_ptr<const dtls13::Settings> settings;
  std::unique_ptr<dtls13::CookieExchange> cookies;
};

struct Times {
  double client = 1e12, server = 1e12;
};

template <typename Version>
Times once(Version& version) {
  Clock::duration client_time{}, server_time{};
  const auto timed = [](Clock::duration& of, auto work) {
    const auto start = Clock::now();
    work();
    of += Clock::now() - start;
  };
  for (int i = 0; i < kHandshakes; ++i) {
    Sink at_client, at_server;
    std::unique_ptr<typename Version::Session> client, server;
    timed(client_time, [&] { client = version.client(at_client); });
    while (!at_client.sent.empty() || !at_server.sent.empty()) {
      for (Bytes& datagram : std::exchange(at_client.sent, {})) {
        timed(server_time, [&] {
          if (server) {
            server->receive(MutableBytes(datagram), 2, at_server);
          } else {
            server = version.greet(datagram, at_server);
          }
        });
      }
      for (Bytes& datagram : std::exchange(at_server.sent, {})) {
        timed(client_time, [&] { client->receive(MutableBytes(datagram), 2, at_client); });
      }
    }
    check(at_client.open && at_server.open);
    timed(client_time, [&] { client.reset(); });
    timed(server_time, [&] { server.reset(); });
  }
  const auto each = [](Clock::duration taken) {
    return std::chrono::duration<double, std::micro>(taken).count() / kHandshakes;
  };
  return {each(client_time), each(server_time)};
}

}  // namespace

int main() {
  Newer dhe(dtls13::kPskDheKe), ke(dtls13::kPskKe);
  Older ecdhe("ECDHE-PSK-CHACHA20-POLY1305"), psk("PSK-AES128-CCM8");
  Times best[4];
  for (int run = 0; run < kRuns; ++run) {
    const Times times[] = {once(dhe), once(ecdhe), once(ke), once(psk)};
    for (size_t i = 0; i < std::size(times); ++i) {
      best[i].client = std::min(best[i].client, times[i].client);
      best[i].server = std::min(best[i].server, times[i].server);
    }
  }
  const char* const names[] = {"DTLS 1.3, X25519", "DTLS 1.2, ECDHE-PSK", "DTLS 1.3, psk_ke",
                               "DTLS 1.2, PSK"};
  for (size_t i = 0; i < std::size(best); ++i) {
    const double both = best[i].client + best[i].server;
    std::printf("%-20s client %6.1f us, server %6.1f us, both %6.1f us, %6.0f /s\n", names[i],
                best[i].client, best[i].server, both, 1e6 / both);
  }
  const auto ratio = [&](size_t i) {
    return (best[i + 1].client + best[i + 1].server) / (best[i].client + best[i].server);
  };
  std::printf("DTLS 1.3 of 1.2: %.2f with a key exchange, %.2f without\n", ratio(0), ratio(2));
}
