#include "dtls13/server_handshake.h"

#include <openssl/rand.h>

#include <algorithm>

#include "psk/decoy.h"

namespace mcbn::dtls13 {
namespace {

Identity textOf(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Nothing of the hello has changed in a way that the cookie does not allow (RFC 8446 section
// 4.1.2), and there is a suite, a group and a share for it.
std::optional<Failure> refusal(const ClientHello& hello, const VerifiedHello& verified,
                               Choice& choice) {
  if (hello.offer_count == 0) {
    return handshakeFailure(alert::kHandshakeFailure,
                            "the client offered no pre-shared key with DTLS 1.3");
  }
  if (!choice.suite) {
    return handshakeFailure(alert::kHandshakeFailure,
                            "no cipher suite, group and key exchange mode is common: compare "
                            "ciphers, groups and psk_ke of client and server");
  }
  if (!verified.cookie.empty()) {
    // The suite stays what the HelloRetryRequest said, and the group that it asked for comes now.
    const Suite* const suite = suiteOf(verified.suite);
    const auto group = groupOf(verified.group);
    const bool kept = suite && hello.hasSuite(suite->id) &&
                      std::ranges::any_of(hello.offered(), [&](const PskOffer& offer) {
                        return offer.binder.size() == hashBytes(suite->hash);
                      });
    if (!kept || (verified.group != 0 && (!group || hello.shareOf(verified.group).empty()))) {
      return malformed("second ClientHello", alert::kIllegalParameter);
    }
    choice.suite = suite;
    if (group) choice = {suite, *group, false};
  }
  if (choice.needs_share) return malformed("ClientHello", alert::kIllegalParameter);
  return std::nullopt;
}

}  // namespace

ServerHandshake::ServerHandshake(std::shared_ptr<const Settings> settings, bool keylog,
                                 std::optional<Bytes> own_id)
    : settings_(std::move(settings)), keylog_(keylog), own_id_(std::move(own_id)) {}

Progress ServerHandshake::accept(const VerifiedHello& verified, Messages& messages,
                                 SessionStep& step) {
  MCBN_ASSERT(std::holds_alternative<std::monostate>(state_));
  messages.inbox().startAt(verified.message_sequence + 1);
  messages.startAt(verified.message_sequence);  // as many of ours: a HelloRetryRequest, or none
  messages.records().skipPlaintext(verified.record_sequence);
  Bytes body(verified.body.begin(), verified.body.end());
  ClientHello hello;  // of these bytes, wherever they are moved
  if (const Fault fault = parseClientHello13(body, hello)) return malformed("ClientHello", *fault);
  // RFC 9147 section 5.3.
  if (!hello.speaks13 || !hello.legacy_cookie_empty) {
    return malformed("ClientHello", alert::kIllegalParameter);
  }
  Choice choice = choose(*settings_, hello);
  if (auto failure = refusal(hello, verified, choice)) return *std::move(failure);
  servername_ = hello.servername;
  offers_ = hello.offer_count;
  std::ranges::copy(hello.random, client_random_.begin());
  Offered offered{std::move(body), Transcript(choice.suite->hash), choice};
  if (!verified.cookie.empty()) {
    // RFC 8446 section 4.4.1, from what the cookie brought back.
    std::array<uint8_t, kMostRetryBytes> retry;
    const size_t size =
        writeHelloRetryRequest(verified.suite, verified.group, verified.cookie, retry.data());
    offered.transcript.restart(verified.first_hash);
    offered.transcript.add(message_type::kServerHello, ByteView(retry).first(size));
  }
  return lookUp(std::move(offered), hello, 0, {}, messages, step);
}

// Goes through the offers from this one on, until one has a key or must be asked about. `answered`: the
// key of this one, which was asked for.
Progress ServerHandshake::lookUp(Offered offered, const ClientHello& hello, size_t offer,
                                 std::optional<PskEntry> answered, Messages& messages,
                                 SessionStep& step) {
  const PskPolicy& policy = settings_->psk;
  const PskHash hash = offered.choice.suite->hash;
  // Of the ServerHello, for unknown identities too: work that only the others cause would show in the time.
  if (RAND_bytes(random_.data(), static_cast<int>(random_.size())) != 1) return outOfMemory();
  if (answered) return useKey(offered, hello, offer, *std::move(answered), false, messages, step);
  for (; offer < hello.offered().size(); ++offer) {
    const PskOffer& tried = hello.offered()[offer];
    if (tried.binder.size() != hashBytes(hash) || tried.identity.size() > kMaxIdentityLength13) {
      continue;
    }
    identity_ = textOf(tried.identity);
    PskEntry entry;
    const auto found =
        policy.table ? policy.table->find(identity_, entry, true) : KeyTable::Found::Miss;
    // A key of another hash is no key for this suite (RFC 8446 section 4.2.11).
    if (found == KeyTable::Found::Hit && entry.hash == hash) {
      return useKey(offered, hello, offer, std::move(entry), false, messages, step);
    }
    if (found == KeyTable::Found::Hit) misfit_ = identity_;
    if (found != KeyTable::Found::Miss || !policy.ask) continue;
    state_ = AwaitingKey{std::move(offered),
                         offer,
                         {.number = 0,
                          .protocol = Protocol::Dtls13,
                          .identity = identity_,
                          .hint = {},
                          .servername = servername_}};
    ask(step);
    return {};
  }
  identity_ = textOf(hello.offers[0].identity);
  if (policy.unknown == UnknownIdentity::Alert) {
    if (auto failure = misfit(alert::kUnknownPskIdentity)) return *std::move(failure);
    return handshakeFailure(alert::kUnknownPskIdentity,
                            "no key is filed under the client's identity " + quoted(identity_),
                            "MCBN_PSK_IDENTITY_UNKNOWN");
  }
  auto decoy = decoyKey();
  if (!decoy) return outOfMemory();
  return useKey(offered, hello, 0, {*std::move(decoy), hash}, true, messages, step);
}

void ServerHandshake::ask(SessionStep& step) {
  auto* const state = std::get_if<AwaitingKey>(&state_);
  if (!state || state->question.number != 0 || !step.sink.mayAsk()) return;
  state->question.number = ++questions_;
  step.sink.question(state->question);
}

bool ServerHandshake::asks(uint32_t number) const {
  const auto* const state = std::get_if<AwaitingKey>(&state_);
  return state && number != 0 && state->question.number == number;
}

Progress ServerHandshake::answer(PskAnswer answer, Messages& messages, SessionStep& step) {
  MCBN_ASSERT(std::holds_alternative<AwaitingKey>(state_));
  AwaitingKey state = std::move(std::get<AwaitingKey>(state_));
  state_ = std::monostate();
  const PskHash hash = state.offered.choice.suite->hash;
  const bool revoked = settings_->psk.table && settings_->psk.table->revoked(identity_);
  const bool usable = answer.entry && !answer.entry->key.empty() && !revoked;
  ClientHello hello;
  if (parseClientHello13(state.offered.body, hello)) return outOfMemory();  // it was read before
  if (usable && answer.entry->hash == hash) {
    return lookUp(std::move(state.offered), hello, state.offer, std::move(answer.entry), messages,
                  step);
  }
  if (usable) misfit_ = identity_;
  return lookUp(std::move(state.offered), hello, state.offer + 1, {}, messages, step);
}

// To the client it looks like any other key.
std::optional<Failure> ServerHandshake::misfit(uint8_t alert) const {
  if (misfit_.empty()) return std::nullopt;
  return handshakeFailure(alert,
                          "the client offers identity " + quoted(misfit_) +
                              " with another hash than the server's key has; give the key the "
                              "same hash on both sides, and a cipher suite of it",
                          "MCBN_PSK_MISMATCH");
}

Progress ServerHandshake::refuseKey(bool decoy) const {
  if (!decoy) {
    return handshakeFailure(alert::kDecryptError,
                            "the client's key for identity " + quoted(identity_) +
                                " differs from the server's; compare both",
                            "MCBN_PSK_MISMATCH");
  }
  if (auto failure = misfit(alert::kDecryptError)) return *std::move(failure);
  std::string message = "no key is filed under the client's identity " + quoted(identity_);
  if (offers_ > 1) message += ", or under another of the " + std::to_string(offers_) + " offered";
  return handshakeFailure(alert::kDecryptError, std::move(message), "MCBN_PSK_IDENTITY_UNKNOWN");
}

Progress ServerHandshake::useKey(Offered& offered, const ClientHello& hello, size_t offer,
                                 PskEntry entry, bool decoy, Messages& messages,
                                 SessionStep& step) {
  const EarlySecret early(entry.hash, entry.origin, entry.key.view());
  entry.key.reset();
  const Secret binder =
      early.binder(offered.transcript.hashUpTo(offered.body, hello.before_binders));
  if (binder.empty()) return outOfMemory();
  // RFC 8446 section 4.2.11: before anything else of the hello is used.
  if (!equalSecrets(binder.view(), hello.offers[offer].binder)) return refuseKey(decoy);
  return sendFlight(offered, hello, offer, early, messages, step);
}

// RFC 7301 section 3.2: what we prefer of what the client offers. It has shown its key by now.
std::optional<Failure> ServerHandshake::chooseAlpn(const ClientHello& hello) {
  if (settings_->alpn.empty() || hello.alpn.empty()) return std::nullopt;
  const auto found = std::ranges::find_if(
      settings_->alpn, [&](const std::string& name) { return hello.offersAlpn(name); });
  if (found == settings_->alpn.end()) {
    return handshakeFailure(alert::kNoApplicationProtocol,
                            "the client offers none of our application protocols; compare "
                            "ALPNProtocols of client and server");
  }
  alpn_ = *found;
  return std::nullopt;
}

Progress ServerHandshake::sendFlight(Offered& offered, const ClientHello& hello, size_t offer,
                                     const EarlySecret& early, Messages& messages,
                                     SessionStep& step) {
  const Suite& suite = *offered.choice.suite;
  if (auto failure = chooseAlpn(hello)) return *std::move(failure);
  ServerHelloFields fields{.random = random_,
                           .suite = suite.id,
                           .group = {},
                           .share = {},
                           .psk = static_cast<uint16_t>(offer),
                           .connection_id = {}};
  KeyAnswer key;
  if (offered.choice.group) {
    fields.group = static_cast<uint16_t>(*offered.choice.group);
    auto made = answerKeyShare(*offered.choice.group, hello.shareOf(*fields.group));
    if (!made) return malformed("key share", alert::kIllegalParameter);
    key = *std::move(made);
    fields.share = key.share;
  }
  // RFC 9146 section 3: only where both sides say so, and its ID leaves room for what it is put before.
  if (hello.connection_id && own_id_ && messages.leavesRoom(*hello.connection_id)) {
    fields.connection_id = *own_id_;
    fields.return_routability = hello.return_routability;
  }
  Bytes body;
  writeServerHello(fields, body);
  Transcript& transcript = offered.transcript;
  transcript.add(message_type::kClientHello, offered.body);
  transcript.add(message_type::kServerHello, body);
  messages.beginFlight();
  messages.post(0, message_type::kServerHello, std::move(body));

  const HandshakeSecret secret = early.handshake(key.shared_secret.view());
  const TrafficSecrets traffic = secret.traffic(transcript.hash());
  if (!startHandshakeKeys(messages, Role::Server, suite, traffic)) return outOfMemory();
  if (fields.connection_id) {
    messages.records().setPeerId({hello.connection_id->begin(), hello.connection_id->end()});
    if (!own_id_->empty()) messages.records().setOwnIds({*own_id_});
  }
  Bytes extensions;
  writeEncryptedExtensions(alpn_, extensions);
  transcript.add(message_type::kEncryptedExtensions, extensions);
  messages.post(2, message_type::kEncryptedExtensions, std::move(extensions));
  const Secret finished = finishedOf(suite.hash, traffic.server, transcript.hash());
  transcript.add(message_type::kFinished, finished.view());
  messages.post(2, message_type::kFinished, {finished.data(), finished.data() + finished.size()});
  const HashValue all = transcript.hash();
  const MasterSecret master = secret.master();
  AwaitingFinished state{&suite,
                         finishedOf(suite.hash, traffic.client, all),
                         traffic.client.clone(),
                         master.traffic(all),
                         master.exporter(all),
                         fields.return_routability};
  if (finished.empty() || state.expected.empty() || state.traffic.empty()) return outOfMemory();
  logSecret(keylog_, key_log::kClientHandshake, client_random_, traffic.client.view(), step);
  logSecret(keylog_, key_log::kServerHandshake, client_random_, traffic.server.view(), step);
  logSecret(keylog_, key_log::kClientTraffic, client_random_, state.traffic.client.view(), step);
  logSecret(keylog_, key_log::kServerTraffic, client_random_, state.traffic.server.view(), step);
  logSecret(keylog_, key_log::kExporter, client_random_, state.exporter.bytes(), step);
  state_ = std::move(state);
  messages.send(step);
  return {};
}

Progress ServerHandshake::take(uint8_t type, uint64_t epoch, ByteView body, Messages& messages,
                               SessionStep& step) {
  auto* const state = std::get_if<AwaitingFinished>(&state_);
  if (!state || type != message_type::kFinished || epoch != 2) {
    return handshakeFailure(alert::kUnexpectedMessage,
                            "the client sent handshake message " + std::to_string(type) +
                                " where its Finished must come (RFC 8446 appendix A.2)",
                            "MCBN_PROTOCOL_ERROR");
  }
  if (!equalSecrets(state->expected.view(), body)) {
    return handshakeFailure(alert::kDecryptError,
                            "the client's Finished does not fit what was said before it");
  }
  messages.answered(step);
  return Established({.suite = state->suite,
                      .read = std::move(state->traffic.client),
                      .write = std::move(state->traffic.server),
                      .older = std::move(state->handshake),
                      .exporter = std::move(state->exporter),
                      .identity = identity_,
                      .servername = servername_,
                      .alpn = alpn_,
                      .return_routability = state->return_routability});
}

}  // namespace mcbn::dtls13
