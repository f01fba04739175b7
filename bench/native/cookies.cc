// How many cookies one core makes and checks in a second.
//   cmake --build <dir> --target bench_cookies && <dir>/bench_cookies
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "record/hello_verify_request.h"

using namespace mcbn;

namespace {

Bytes clientHello() {
  Bytes body;
  Writer(body).u16(kDtls12).bytes(Bytes(32, 0x11)).u8(0).u8(0).u16(2).u16(0xC0A8).u8(1).u8(0);
  Bytes out;
  Writer record(out);
  record.u8(content_type::kHandshake).u16(kDtls10).u16(0).u48(0).u16(12 + body.size());
  record.u8(handshake_type::kClientHello).u24(body.size()).u16(0).u24(0).u24(body.size());
  record.bytes(body);
  return out;
}

template <typename Work>
void measure(const char* name, Work work) {
  constexpr int kRounds = 500'000, kRuns = 5;
  double best = 0;
  for (int run = 0; run < kRuns; run++) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kRounds; i++) work(i);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    best = std::max(best, kRounds / taken.count());
  }
  std::printf("%-40s %10.0f per second\n", name, best);
}

}  // namespace

int main() {
  Cookies cookies({});
  if (!cookies.usable()) return 1;
  const Bytes datagram = clientHello();
  const Bytes address = {4, 127, 0, 0, 1, 0x1F, 0x91};
  constexpr uint64_t kNow = 1'800'000'000;
  const auto known = parseClientHello(datagram);
  if (!known) return 1;
  const Cookie cookie = cookies.make(address, *known, kNow);

  uint64_t used = 0;  // so that nothing is optimised away
  measure("parse a ClientHello", [&](int) { used += parseClientHello(datagram)->random[0]; });
  measure("make a cookie", [&](int i) { used += cookies.make(address, *known, kNow + i)[31]; });
  measure("verify a cookie",
          [&](int) { used += cookies.verify(address, *known, kNow, cookie) ? 1 : 0; });
  measure("ClientHello to HelloVerifyRequest", [&](int) {
    const auto hello = parseClientHello(datagram);
    used += helloVerifyRequest(*hello, cookies.make(address, *hello, kNow))[59];
  });
  return used == 0;
}
