#include "dtls13/key_schedule.h"

#include <algorithm>

namespace mcbn::dtls13 {
namespace {

// Derive-Secret (RFC 8446 section 7.1), its messages already hashed: of a secret that gives no other.
Secret derived(PskHash hash, std::string_view prefix, const Secret& secret, std::string_view label,
               ByteView transcript_hash) {
  return hkdfExpandLabel(hash, secret.view(), label, transcript_hash, hashBytes(hash), prefix);
}

// HKDF-Extract(what came before, secret or zeros).
Secret extracted(PskHash hash, const Secret& salt, ByteView secret) {
  if (salt.empty()) return {};
  constexpr std::array<uint8_t, kMaxHashBytes> kZeros{};
  return hkdfExtract(hash, salt.view(),
                     secret.empty() ? ByteView(kZeros).first(hashBytes(hash)) : secret);
}

// The salt of the next stage: Derive-Secret(., "derived", "").
Secret saltFrom(PskHash hash, const Expander& secret) {
  return secret.derive("derived", emptyDigest(hash));
}

// RFC 8446 section 4.4.4. Without a hash, which OpenSSL has refused, there is none.
Secret verifyData(PskHash hash, const Secret& finished_key, ByteView transcript_hash) {
  if (finished_key.empty() || transcript_hash.empty()) return {};
  return hmacOf(hash, finished_key.view(), {transcript_hash});
}

}  // namespace

EarlySecret::EarlySecret(PskHash hash, PskOrigin origin, ByteView psk, std::string_view prefix)
    : hash_(hash), prefix_(prefix) {
  const Secret extract = hkdfExtract(hash, {}, psk);
  const Expander secret(hash, extract.view(), prefix);
  const std::string_view label = origin == PskOrigin::Imported ? "imp binder" : "ext binder";
  binder_key_ = derived(hash, prefix, secret.derive(label, emptyDigest(hash)), "finished", {});
  salt_ = saltFrom(hash, secret);
}

Secret EarlySecret::binder(ByteView transcript_hash) const {
  return verifyData(hash_, binder_key_, transcript_hash);
}

HandshakeSecret EarlySecret::handshake(ByteView shared_secret) const {
  return HandshakeSecret(hash_, prefix_, extracted(hash_, salt_, shared_secret));
}

TrafficSecrets HandshakeSecret::traffic(ByteView transcript_hash) const {
  return {secret_.derive("c hs traffic", transcript_hash),
          secret_.derive("s hs traffic", transcript_hash)};
}

MasterSecret HandshakeSecret::master() const {
  return MasterSecret(hash_, prefix_, extracted(hash_, saltFrom(hash_, secret_), {}));
}

TrafficSecrets MasterSecret::traffic(ByteView transcript_hash) const {
  return {secret_.derive("c ap traffic", transcript_hash),
          secret_.derive("s ap traffic", transcript_hash)};
}

Exporter MasterSecret::exporter(ByteView transcript_hash) const {
  return Exporter(hash_, secret_.derive("exp master", transcript_hash), prefix_);
}

bool Exporter::exportKeyingMaterial(std::string_view label, ByteView context,
                                    MutableBytes out) const {
  const Secret secret = derived(hash_, prefix_, secret_, label, emptyDigest(hash_));
  const Secret value = hkdfExpandLabel(hash_, secret.view(), "exporter", digestOf(hash_, {context}),
                                       out.size(), prefix_);
  std::ranges::copy(value.view(), out.begin());
  return !value.empty();
}

Secret finishedOf(PskHash hash, const Secret& secret, ByteView transcript_hash,
                  std::string_view prefix) {
  const Secret key = derived(hash, prefix, secret, "finished", {});
  return verifyData(hash, key, transcript_hash);
}

Secret nextTrafficSecret(PskHash hash, const Secret& secret, std::string_view prefix) {
  return derived(hash, prefix, secret, "traffic upd", {});
}

TrafficKeys trafficKeysOf(const Suite& suite, const Secret& secret, std::string_view prefix) {
  const Expander from(suite.hash, secret.view(), prefix);
  return {from.expand("key", {}, suite.key), from.expand("iv", {}, kNonceBytes),
          from.expand("sn", {}, suite.key)};
}

Secret keyLogLine(std::string_view name, ByteView client_random, ByteView secret) {
  constexpr char kDigits[] = "0123456789abcdef";
  Bytes line;
  // Its last size at once: nothing of the secret is left where it grew.
  line.reserve(name.size() + 2 + 2 * (client_random.size() + secret.size()));
  line.assign(name.begin(), name.end());
  for (const ByteView bytes : {client_random, secret}) {
    line.push_back(' ');
    for (const uint8_t byte : bytes) {
      line.push_back(kDigits[byte >> 4]);
      line.push_back(kDigits[byte & 15]);
    }
  }
  Secret made(line);
  OPENSSL_cleanse(line.data(), line.size());
  return made;
}

}  // namespace mcbn::dtls13
