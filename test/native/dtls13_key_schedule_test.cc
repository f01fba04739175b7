// The key schedule of DTLS 1.3: beside RFC 8448's trace with TLS's prefix, and beside OpenSSL's own
// KDF with ours.
#include <doctest/doctest.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "dtls13/key_schedule.h"
#include "wire.h"

using namespace mcbn;
using namespace mcbn::dtls13;
using wire::fromHex;
using wire::Noise;
using wire::text;

namespace {

constexpr std::string_view kTls = "tls13 ";
constexpr PskHash kBoth[] = {PskHash::Sha256, PskHash::Sha384};

Bytes bytesOf(const Secret& secret) { return Bytes(secret.view().begin(), secret.view().end()); }

const char* digestName(PskHash hash) { return hash == PskHash::Sha384 ? "SHA384" : "SHA256"; }

// HKDF-Expand-Label of one hash's length, by OpenSSL.
Bytes reference(PskHash hash, const Bytes& secret, const std::string& label, const Bytes& context,
                std::string prefix = "dtls13") {
  EVP_KDF* const kdf = EVP_KDF_fetch(nullptr, "TLS13-KDF", nullptr);
  EVP_KDF_CTX* const ctx = EVP_KDF_CTX_new(kdf);
  int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
  Bytes key = secret, data = context, name = text(label), before = text(prefix);
  data.reserve(1);  // no null pointer
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string("digest", const_cast<char*>(digestName(hash)), 0),
      OSSL_PARAM_construct_int("mode", &mode),
      OSSL_PARAM_construct_octet_string("key", key.data(), key.size()),
      OSSL_PARAM_construct_octet_string("prefix", before.data(), before.size()),
      OSSL_PARAM_construct_octet_string("label", name.data(), name.size()),
      OSSL_PARAM_construct_octet_string("data", data.data(), data.size()),
      OSSL_PARAM_construct_end()};
  Bytes out(hashBytes(hash));
  REQUIRE(EVP_KDF_derive(ctx, out.data(), out.size(), params) == 1);
  EVP_KDF_CTX_free(ctx);
  EVP_KDF_free(kdf);
  return out;
}

Bytes referenceHmac(PskHash hash, const Bytes& key, const Bytes& data) {
  Bytes out(hashBytes(hash));
  unsigned length = 0;
  const EVP_MD* const digest = hash == PskHash::Sha384 ? EVP_sha384() : EVP_sha256();
  REQUIRE(HMAC(digest, key.data(), static_cast<int>(key.size()), data.data(), data.size(),
               out.data(), &length));
  return out;
}

}  // namespace

TEST_CASE("dtls13 hkdf: nothing comes from nothing, nor from what does not fit its vectors") {
  const Bytes secret(32, 1);
  const PskHash hash = PskHash::Sha256;
  CHECK(hkdfExtract(hash, {}, {}).empty());
  CHECK(hkdfExpandLabel(hash, {}, "key", {}, 16).empty());
  CHECK(hkdfExpandLabel(hash, secret, "key", {}, 0).empty());
  CHECK(hkdfExpandLabel(hash, secret, "key", {}, 255 * 32 + 1).empty());
  CHECK(hkdfExpandLabel(hash, secret, "key", {}, 255 * 32).size() == 255 * 32);
  CHECK(hkdfExpandLabel(hash, secret, std::string(250, 'x'), {}, 16).empty());
  CHECK(!hkdfExpandLabel(hash, secret, std::string(249, 'x'), {}, 16).empty());
  CHECK(hkdfExpandLabel(hash, secret, "key", Bytes(256), 16).empty());
  // And it stays empty through all stages, as when OpenSSL refused at the first.
  const EarlySecret early(hash, PskOrigin::External, {});
  CHECK(early.binder(Bytes(32)).empty());
  const HandshakeSecret handshake = early.handshake({});
  CHECK(handshake.traffic(Bytes(32)).empty());
  CHECK(handshake.master().traffic(Bytes(32)).empty());
  CHECK(trafficKeysOf(suite::kAes128Gcm, Secret()).empty());
  CHECK(finishedOf(hash, Secret(), Bytes(32)).empty());
  // Nor from a transcript whose hash was refused.
  const EarlySecret keyed(hash, PskOrigin::External, secret);
  CHECK(keyed.binder({}).empty());
  CHECK(keyed.handshake({}).traffic({}).empty());
  CHECK(keyed.handshake({}).master().traffic({}).empty());
  CHECK(finishedOf(hash, Secret(secret), {}).empty());
  CHECK(nextTrafficSecret(hash, Secret()).empty());
  Bytes out(16);
  CHECK(!handshake.master().exporter(Bytes(32)).exportKeyingMaterial("label", {}, out));
  CHECK(out == Bytes(16));
}

TEST_CASE("dtls13 hkdf: HMAC and HKDF of every length are OpenSSL's (RFC 2104, RFC 5869)") {
  Noise noise(1);
  for (const PskHash hash : kBoth) {
    for (const size_t length : {1, 32, 48, 63, 64, 65, 127, 128, 129, 512}) {
      CAPTURE(length);
      const Bytes key = noise.bytes(length), data = noise.bytes(noise.below(200) + 1);
      CHECK(bytesOf(hmacOf(hash, key, {data})) == referenceHmac(hash, key, data));
      CHECK(bytesOf(hkdfExtract(hash, key, data)) == referenceHmac(hash, key, data));
      CHECK(bytesOf(hkdfExtract(hash, {}, data)) ==
            referenceHmac(hash, Bytes(hashBytes(hash)), data));
      const Bytes secret = noise.bytes(hashBytes(hash)), context = noise.bytes(noise.below(256));
      const Bytes expected = reference(hash, secret, "some label", context);
      CHECK(bytesOf(hkdfExpandLabel(hash, secret, "some label", context, expected.size())) ==
            expected);
    }
  }
}

// RFC 5869 appendix A.1 has no label; this is its output of several blocks in our form: each block
// feeds the next.
TEST_CASE("dtls13 hkdf: blocks after the first are chained (RFC 5869 section 2.3)") {
  Noise noise(2);
  for (const PskHash hash : kBoth) {
    const size_t size = hashBytes(hash), length = 3 * size - 5;
    const Bytes secret = noise.bytes(size);
    Bytes info;
    Writer(info).u16(length).u8(7).bytes(text("dtls13k")).u8(0);
    Bytes expected, block;
    for (uint8_t i = 1; i <= 3; ++i) {
      block = referenceHmac(hash, secret, wire::joined({block, info, {i}}));
      expected.insert(expected.end(), block.begin(), block.end());
    }
    expected.resize(length);
    CHECK(bytesOf(hkdfExpandLabel(hash, secret, "k", {}, length)) == expected);
  }
}

TEST_CASE("dtls13 key schedule: the trace of RFC 8448 section 3, with TLS's prefix") {
  const PskHash hash = PskHash::Sha256;
  const Bytes shared = fromHex("8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d");
  const Bytes server_hello =
      fromHex("860c06edc07858ee8e78f0e7428c58edd6b43f2ca3e6e95f02ed063cf0e1cad8");
  const Bytes before_finished =
      fromHex("edb7725fa7a3473b031ec8ef65a2485493900138a2b91291407d7951a06110ed");
  const Bytes server_finished =
      fromHex("9608102a0f1ccc6db6250b7b7e417b1a000eaada3daae4777a7686c9ff83df13");

  const EarlySecret early(hash, PskOrigin::External, Bytes(32), kTls);  // no PSK: zeros
  const HandshakeSecret handshake = early.handshake(shared);
  const TrafficSecrets epoch2 = handshake.traffic(server_hello);
  CHECK(bytesOf(epoch2.client) ==
        fromHex("b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21"));
  CHECK(bytesOf(epoch2.server) ==
        fromHex("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38"));
  CHECK(bytesOf(finishedOf(hash, epoch2.server, before_finished, kTls)) ==
        fromHex("9b9b141d906337fbd2cbdce71df4deda4ab42c309572cb7fffee5454b78f0718"));
  CHECK(bytesOf(finishedOf(hash, epoch2.client, server_finished, kTls)) ==
        fromHex("a8ec436d677634ae525ac1fcebe11a039ec17694fac6e98527b642f2edd5ce61"));
  const TrafficKeys keys = trafficKeysOf(suite::kAes128Gcm, epoch2.server, kTls);
  CHECK(bytesOf(keys.key) == fromHex("3fce516009c21727d0f2e4e86ee403bc"));
  CHECK(bytesOf(keys.iv) == fromHex("5d313eb2671276ee13000b30"));

  const MasterSecret master = handshake.master();
  const TrafficSecrets epoch3 = master.traffic(server_finished);
  CHECK(bytesOf(epoch3.client) ==
        fromHex("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"));
  CHECK(bytesOf(epoch3.server) ==
        fromHex("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643"));
  const Exporter exporter = master.exporter(server_finished);
  CHECK(Bytes(exporter.bytes().begin(), exporter.bytes().end()) ==
        fromHex("fe22f881176eda18eb8f44529e6792c50c9a3f89452f68d8ae311b4309d3cf50"));
}

TEST_CASE("dtls13 key schedule: every secret is the one that OpenSSL's KDF gives with our prefix") {
  Noise noise(3);
  for (const PskHash hash : kBoth) {
    for (const bool with_dhe : {false, true}) {
      CAPTURE(with_dhe);
      const size_t size = hashBytes(hash);
      const Bytes psk = noise.bytes(32), hello = noise.bytes(size), done = noise.bytes(size);
      const Bytes shared = with_dhe ? noise.bytes(32) : Bytes();
      const Bytes nothing = digestOf(hash, {}), zeros(size);

      const Bytes early = referenceHmac(hash, zeros, psk);
      for (const auto origin : {PskOrigin::External, PskOrigin::Imported}) {
        const bool imported = origin == PskOrigin::Imported;
        const Bytes key = reference(hash, early, imported ? "imp binder" : "ext binder", nothing);
        CHECK(bytesOf(EarlySecret(hash, origin, psk).binder(hello)) ==
              referenceHmac(hash, reference(hash, key, "finished", {}), hello));
      }
      const Bytes handshake = referenceHmac(hash, reference(hash, early, "derived", nothing),
                                            with_dhe ? shared : zeros);
      const HandshakeSecret second = EarlySecret(hash, PskOrigin::External, psk).handshake(shared);
      CHECK(bytesOf(second.traffic(hello).client) ==
            reference(hash, handshake, "c hs traffic", hello));
      CHECK(bytesOf(second.traffic(hello).server) ==
            reference(hash, handshake, "s hs traffic", hello));
      const Bytes master =
          referenceHmac(hash, reference(hash, handshake, "derived", nothing), zeros);
      const MasterSecret third = second.master();
      const Secret traffic = third.traffic(done).client;
      CHECK(bytesOf(traffic) == reference(hash, master, "c ap traffic", done));
      CHECK(bytesOf(third.traffic(done).server) == reference(hash, master, "s ap traffic", done));
      CHECK(bytesOf(nextTrafficSecret(hash, traffic)) ==
            reference(hash, bytesOf(traffic), "traffic upd", {}));

      const Bytes exporter = reference(hash, master, "exp master", done);
      Bytes value(size);
      REQUIRE(third.exporter(done).exportKeyingMaterial("EXPORTER-test", text("context"), value));
      CHECK(value == reference(hash, reference(hash, exporter, "EXPORTER-test", nothing),
                               "exporter", digestOf(hash, {text("context")})));
    }
  }
}

TEST_CASE("dtls13 key schedule: keys of every suite, the one for numbers among them") {
  for (const Suite* const suite : kSuites) {
    CAPTURE(suite->name);
    const Bytes secret(hashBytes(suite->hash), 7);
    const TrafficKeys keys = trafficKeysOf(*suite, Secret(secret));
    CHECK(bytesOf(keys.key) ==
          bytesOf(hkdfExpandLabel(suite->hash, secret, "key", {}, suite->key)));
    CHECK(bytesOf(keys.number) ==
          bytesOf(hkdfExpandLabel(suite->hash, secret, "sn", {}, suite->key)));
    CHECK(bytesOf(keys.iv) == bytesOf(hkdfExpandLabel(suite->hash, secret, "iv", {}, 12)));
    CHECK(suiteOf(suite->id) == suite);
  }
  CHECK(suiteOf(0x1306) == nullptr);
  CHECK(suiteOf(0) == nullptr);
}

TEST_CASE("dtls13 key schedule: a key log line is what Wireshark reads") {
  const Secret line = keyLogLine(key_log::kClientTraffic, Bytes(32, 0xAB), Bytes{0x00, 0xFF});
  std::string random;
  for (int i = 0; i < 32; ++i) random += "ab";
  CHECK(bytesOf(line) == text("CLIENT_TRAFFIC_SECRET_0 " + random + " 00ff"));
}
