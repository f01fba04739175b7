// Every allocation that OpenSSL makes in a handshake and a message fails once: what cannot be done ends
// with a reason or waits for a repeat, and nothing is touched that is not there (run it under ASan).
// A separate program, since OpenSSL's allocator is chosen before its first use.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "dtls_pair.h"
#include "failing_openssl.h"
#include "record/record_protection.h"

using namespace mcbn;

namespace {

// All that is under way, on a clock that stands still: what is lost stays lost.
void carryAll(DtlsPair& pair, Milliseconds now) {
  for (int count = 0; count < 100 && pair.carryOne(now, [](Bytes&) { return true; });) ++count;
}

void say(DtlsPair& pair, DtlsSession& from, RecordingSink& sink, Milliseconds now) {
  const Bytes text = {'h', 'i'};
  from.send(text, now, sink);
  carryAll(pair, now);
}

}  // namespace

TEST_CASE("allocation failure: at every place of a handshake and of a message") {
  for (const bool openssl_records : {false, true}) {
    for (const char* ciphers : {"PSK-AES128-CCM8", "ECDHE-PSK-CHACHA20-POLY1305"}) {
      CAPTURE(ciphers);
      CAPTURE(openssl_records);
      unsigned opened = 0, refused = 0;
      for (long nth = 0;; ++nth) {
        CAPTURE(nth);
        // One for four directions: each is taken away again and again, and making the next one fails, too.
        CipherContexts contexts(1);
        DtlsPair pair(
            {.ciphers = ciphers, .server_openssl = openssl_records, .contexts = &contexts});
        const Milliseconds now = steadyNow();
        failed = false;
        countdown = nth;
        pair.connect(now);
        carryAll(pair, now);
        if (pair.bothOpen()) say(pair, *pair.client, pair.at_client, now);
        if (pair.bothOpen()) say(pair, *pair.server, pair.at_server, now);
        countdown = -1;
        CHECK(pair.at_client.opens.size() <= 1);
        CHECK(pair.at_server.opens.size() <= 1);
        for (const auto* sink : {&pair.at_client, &pair.at_server}) {
          REQUIRE(sink->endings.size() <= 1);
          if (sink->endings.empty()) continue;
          REQUIRE(sink->endings[0]);
          CHECK_FALSE(sink->endings[0]->message.empty());
          CHECK(sink->endings[0]->code != std::string("MCBN_PSK_MISMATCH"));
        }
        pair.bothOpen() ? ++opened : ++refused;
        if (!failed) break;
      }
      CHECK(opened > 0);
      CHECK(refused > 0);
      MESSAGE(std::string(ciphers) << ": " << opened << " opened, " << refused << " did not");
    }
  }
}

TEST_CASE("allocation failure: a direction that loses its cipher context is listed no more") {
  constexpr size_t kText = 20;
  const Bytes iv(aead::kAes128Gcm.fixed_iv, 7);
  for (long nth = 0, more = 1; more > 0; ++nth) {
    CAPTURE(nth);
    CipherContexts contexts(2);
    Bytes record(kDtlsRecordHeaderBytes + aead::kAes128Gcm.overhead() + kText);
    {
      using Direction = RecordProtection::Direction;
      RecordProtection sealing(aead::kAes128Gcm, Direction::Seal, Secret(Bytes(16, 1)), iv,
                               &contexts);
      const auto seal = [&](uint64_t number) {
        return sealing.seal(content_type::kApplicationData, number, record.data(), kText);
      };
      REQUIRE(seal(1));
      REQUIRE(contexts.count() == 1);
      // A leap: GCM's context counts records itself, so it is made anew.
      failed = false;
      countdown = nth;
      const bool sealed = seal(9);
      countdown = -1;
      CHECK(sealed != failed);
      CHECK(contexts.count() == (failed ? 0 : 1));
      more = failed ? 1 : 0;
      CHECK(seal(20));
      CHECK(contexts.count() == 1);
    }
    CHECK(contexts.count() == 0);
  }
}

int main(int argc, char** argv) {
  if (!takeAllocations()) return 1;
  doctest::Context context(argc, argv);
  return context.run();
}
