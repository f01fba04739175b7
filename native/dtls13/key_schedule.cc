#include "dtls13/key_schedule.h"

#include <algorithm>

namespace mcbn::dtls13 {
namespace {

// Derive-Secret (RFC 8446 section 7.1), its messages already hashed.
Secret derived(PskHash hash, std::string_view prefix, const Secret& secret, std::string_view label,
               ByteView transcript_hash) {
  return hkdfExpandLabel(hash, secret.view(), label, transcript_hash, hashBytes(hash), prefix);
}

// The salt of the next stage: Derive-Secret(., "derived", "").
Secret saltFrom(PskHash hash, std::string_view prefix, const Secret& secret) {
  return derived(hash, prefix, secret, "derived", digestOf(hash, {}));
}

// HKDF-Extract(0 or what came before, secret or zeros).
Secret extracted(PskHash hash, const Secret& salt, ByteView secret) {
  if (salt.empty()) return {};
  const std::array<uint8_t, kMaxHashBytes> zeros{};
  return hkdfExtract(hash, salt.view(),
                     secret.empty() ? ByteView(zeros).first(hashBytes(hash)) : secret);
}

TrafficSecrets both(PskHash hash, std::string_view prefix, const Secret& secret,
                    std::string_view client, std::string_view server, ByteView transcript_hash) {
  return {derived(hash, prefix, secret, client, transcript_hash),
          derived(hash, prefix, secret, server, transcript_hash)};
}

}  // namespace

EarlySecret::EarlySecret(PskHash hash, ByteView psk, std::string_view prefix)
    : hash_(hash), prefix_(prefix), secret_(hkdfExtract(hash, {}, psk)) {}

Secret EarlySecret::binder(PskOrigin origin, ByteView transcript_hash) const {
  const std::string_view label = origin == PskOrigin::Imported ? "imp binder" : "ext binder";
  const Secret key = derived(hash_, prefix_, secret_, label, digestOf(hash_, {}));
  return finishedOf(hash_, key, transcript_hash, prefix_);
}

HandshakeSecret EarlySecret::handshake(ByteView shared_secret) const {
  const Secret salt = saltFrom(hash_, prefix_, secret_);
  return HandshakeSecret(hash_, prefix_, extracted(hash_, salt, shared_secret));
}

TrafficSecrets HandshakeSecret::traffic(ByteView transcript_hash) const {
  return both(hash_, prefix_, secret_, "c hs traffic", "s hs traffic", transcript_hash);
}

MasterSecret HandshakeSecret::master() const {
  const Secret salt = saltFrom(hash_, prefix_, secret_);
  return MasterSecret(hash_, prefix_, extracted(hash_, salt, {}));
}

TrafficSecrets MasterSecret::traffic(ByteView transcript_hash) const {
  return both(hash_, prefix_, secret_, "c ap traffic", "s ap traffic", transcript_hash);
}

Exporter MasterSecret::exporter(ByteView transcript_hash) const {
  return Exporter(hash_, derived(hash_, prefix_, secret_, "exp master", transcript_hash), prefix_);
}

bool Exporter::exportKeyingMaterial(std::string_view label, ByteView context,
                                    MutableBytes out) const {
  const Secret secret = derived(hash_, prefix_, secret_, label, digestOf(hash_, {}));
  const Secret value = hkdfExpandLabel(hash_, secret.view(), "exporter", digestOf(hash_, {context}),
                                       out.size(), prefix_);
  std::ranges::copy(value.view(), out.begin());
  return !value.empty();
}

Secret finishedOf(PskHash hash, const Secret& secret, ByteView transcript_hash,
                  std::string_view prefix) {
  const Secret key = derived(hash, prefix, secret, "finished", {});
  return key.empty() ? Secret() : hmacOf(hash, key.view(), {transcript_hash});
}

Secret nextTrafficSecret(PskHash hash, const Secret& secret, std::string_view prefix) {
  return derived(hash, prefix, secret, "traffic upd", {});
}

TrafficKeys trafficKeysOf(const Suite& suite, const Secret& secret, std::string_view prefix) {
  const auto part = [&](std::string_view label, size_t length) {
    return hkdfExpandLabel(suite.hash, secret.view(), label, {}, length, prefix);
  };
  return {part("key", suite.key), part("iv", kNonceBytes), part("sn", suite.key)};
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
