// The wall clock is set in the middle of handshakes: OpenSSL keeps its retransmission timer by it.
#include <doctest/doctest.h>
#include <sys/time.h>

#include <atomic>
#include <ctime>

#include "dtls_pair.h"

using namespace mcbn;

#ifdef __GLIBC__
namespace {

// Seconds by which the wall clock of this program is wrong.
std::atomic<int64_t> stepped{0};

constexpr int64_t kHours = 3'600;

bool encrypted(const Bytes& datagram) {
  for (ByteView rest(datagram); !rest.empty();) {
    const auto record = nextRecord(rest);
    if (!record) return false;
    if (record->epoch > 0) return true;
  }
  return false;
}

}  // namespace

// What libssl calls; the C library's is behind it.
extern "C" int gettimeofday(timeval* time, void* /*zone*/) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec + stepped.load();
  time->tv_usec = now.tv_nsec / 1'000;
  return 0;
}

TEST_CASE(
    "dtls session: a flight that is lost when the wall clock is set, by hours, is repeated all the "
    "same (RFC 6347 section 4.2.4)") {
  for (const int64_t hours : {int64_t{-6}, int64_t{6}}) {
    for (const bool openssl_records : {false, true}) {
      int lost = 0;
      int carried = 0;
      do {
        CAPTURE(hours);
        CAPTURE(lost);
        CAPTURE(openssl_records);
        stepped = 0;
        // Less than 15 ms are none to OpenSSL, which repeats at once then.
        DtlsPair pair({.ciphers = "PSK-AES128-GCM-SHA256",
                       .dtls = dtlsOptions(400, 10'000, 40),
                       .server_openssl = openssl_records});
        pair.connect(steadyNow());
        carried = 0;
        bool answer_lost = false;
        pair.run([&](const Bytes& datagram) {
          if (carried++ != lost) return true;
          stepped = hours * kHours;
          // A client that is put back repeats its Finished under the number that it had, which a server
          // that has had it does not answer (docs/RELIABILITY.md).
          answer_lost = hours < 0 && pair.server && pair.server->open() && encrypted(datagram);
          return answer_lost;
        });
        CHECK(pair.bothOpen());
        if (pair.bothOpen()) exchangeMessages(pair);
        lost += 1;
      } while (lost < carried);
      CHECK(lost >= 5);
    }
  }
  stepped = 0;
}
#endif
