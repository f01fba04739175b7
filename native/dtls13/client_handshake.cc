#include "dtls13/client_handshake.h"

#include <openssl/rand.h>

#include <algorithm>

#include "record/dtls_record.h"
#include "record/handshake_fragment.h"

namespace mcbn::dtls13 {
namespace {

constexpr size_t kUsualHello = 512;  // bytes that a hello has room for from the start

Failure older() {
  return handshakeFailure(alert::kProtocolVersion,
                          "the server speaks no DTLS 1.3; allow DTLSv1.2 if that is meant");
}

Failure unexpected(uint8_t type) {
  // RFC 9147 section 5.2: servers of DTLS 1.3 send none.
  if (type == handshake_type::kHelloVerifyRequest) return older();
  if (type == message_type::kCertificate || type == message_type::kCertificateRequest) {
    return handshakeFailure(alert::kUnexpectedMessage,
                            "the server shows or asks for a certificate instead of using the "
                            "pre-shared key; configure the key on the server",
                            "MCBN_PSK_NOT_USED");
  }
  return handshakeFailure(alert::kUnexpectedMessage,
                          "the server sent handshake message " + std::to_string(type) +
                              " where no such message may come (RFC 8446 appendix A.1)",
                          "MCBN_PROTOCOL_ERROR");
}

Failure illegal(const char* what) {
  return handshakeFailure(alert::kIllegalParameter,
                          std::string("the server chose ") + what + " that was not offered",
                          "MCBN_PROTOCOL_ERROR");
}

}  // namespace

ClientHandshake::ClientHandshake(std::shared_ptr<const Settings> settings, std::string servername,
                                 bool keylog, std::vector<ClientKey> keys,
                                 std::optional<Bytes> own_id)
    : settings_(std::move(settings)),
      servername_(std::move(servername)),
      keylog_(keylog),
      keys_(std::move(keys)),
      own_id_(std::move(own_id)) {
  MCBN_ASSERT(!keys_.empty());
}

const Suite* ClientHandshake::offered(uint16_t id) const {
  const auto found = std::ranges::find_if(settings_->suites, [&](const Suite* suite) {
    return suite->id == id && suite->hash == hash();
  });
  return found == settings_->suites.end() ? nullptr : *found;
}

bool ClientHandshake::hasGroup(uint16_t id) const {
  return std::ranges::any_of(settings_->groups,
                             [&](Group group) { return static_cast<uint16_t>(group) == id; });
}

std::optional<Failure> ClientHandshake::begin(Messages& messages, SessionStep& step) {
  size_t size = 0;
  std::vector<EarlySecret> early;
  early.reserve(keys_.size());
  for (auto& [identity, entry] : keys_) {
    MCBN_ASSERT(entry.hash == hash());
    size += identity.empty() ? kMaxIdentityLength13 + 1 : identity.size();
    early.emplace_back(entry.hash, entry.origin, entry.key.view());
    entry.key.reset();
  }
  if (size > kMaxIdentityLength13) {
    return Failure{.code = "MCBN_IDENTITY_INVALID",
                   .message = "identity: DTLS 1.3 carries 1 to 64,000 bytes, of all together"};
  }
  return sendHello({std::move(early), Transcript(hash()), {}, {}}, messages, step);
}

std::optional<Failure> ClientHandshake::sendHello(HelloSent state, Messages& messages,
                                                  SessionStep& step) {
  if (RAND_bytes(random_.data(), static_cast<int>(random_.size())) != 1) return outOfMemory();
  if (settings_->modes & kPskDheKe) {
    state.share = KeyShare::make(settings_->groups.front());
    if (!state.share) return outOfMemory();
  }
  if (!writeHello(state, {})) {
    return Failure{.code = "MCBN_CIPHERS_INVALID",
                   .message =
                       "ciphers: none of them has the hash of the key; name "
                       "TLS_AES_256_GCM_SHA384 for a SHA-384 key, another for SHA-256"};
  }
  messages.post(0, message_type::kClientHello, state.hello);
  state_ = std::move(state);
  messages.send(step);
  return std::nullopt;
}

void ClientHandshake::askAgain(Cause cause, Messages& messages, SessionStep& step) {
  auto* const state = std::get_if<HelloSent>(&state_);
  if (!state || !state->retried || returns_ == kMostReturns) return;
  state->asked = cause;
  messages.sendFirst(message_type::kClientHello, state->first, step);
}

std::optional<ClientHandshake::Cause> ClientHandshake::contradicted(
    const OpenedRecord& record) const {
  const auto* const state = std::get_if<HelloSent>(&state_);
  if (!state || !state->asked || record.number.epoch != 0) return std::nullopt;
  for (Reader reader(record.content); !reader.empty();) {
    const auto fragment = nextFragment(reader);
    if (!fragment) return std::nullopt;
    ServerHello hello;
    const bool another = fragment->type == message_type::kServerHello &&
                         fragment->messageSequence == 0 && fragment->whole() &&
                         !std::ranges::equal(fragment->body, state->retry);
    if (another && !parseServerHello(fragment->body, hello) && hello.retry && hello.speaks13) {
      return state->asked;
    }
  }
  return std::nullopt;
}

void ClientHandshake::goBack(Messages& messages) {
  auto& state = std::get<HelloSent>(state_);
  returns_ += 1;
  state.hello = std::exchange(state.first, {});
  if (state.first_share) state.share = std::exchange(state.first_share, std::nullopt);
  state.transcript = Transcript(hash());
  state.retried = nullptr;
  state.asked.reset();
  messages.startOver(1);
}

std::optional<Failure> ClientHandshake::startOver(Messages& messages, SessionStep& step) {
  std::vector<EarlySecret> early = std::move(std::get<HelloSent>(state_).early);
  messages.startOver(0);
  return sendHello({std::move(early), Transcript(hash()), {}, {}}, messages, step);
}

bool ClientHandshake::writeHello(HelloSent& state, ByteView cookie) {
  std::vector<uint16_t> suites, groups;
  suites.reserve(settings_->suites.size());
  groups.reserve(settings_->groups.size());
  for (const Suite* suite : settings_->suites) {
    // RFC 8446 section 4.2.11: the key's hash decides.
    if (offered(suite->id)) suites.push_back(suite->id);
  }
  for (const Group group : settings_->groups) groups.push_back(static_cast<uint16_t>(group));
  std::vector<ByteView> identities;
  identities.reserve(keys_.size());
  for (const ClientKey& key : keys_) identities.push_back(bytesOf(key.identity));
  ClientHelloFields fields{.random = random_,
                           .suites = suites,
                           .groups = groups,
                           .share_group = {},
                           .share = {},
                           .modes = settings_->modes,
                           .cookie = cookie,
                           .connection_id = {},
                           .servername = servername_,
                           .alpn = settings_->alpn,
                           .identities = identities,
                           .binder = hashBytes(hash())};
  if (own_id_) fields.connection_id = *own_id_;
  if (state.share) {
    fields.share_group = static_cast<uint16_t>(state.share->group());
    fields.share = state.share->share();
  }
  state.hello.clear();
  state.hello.reserve(kUsualHello);
  const size_t before = writeClientHello(fields, state.hello);
  const HashValue covered = state.transcript.hashUpTo(state.hello, before);
  if (suites.empty() || covered.empty()) return false;
  uint8_t* at = state.hello.data() + before + 2;  // the list's length
  for (size_t i = 0; i < keys_.size(); ++i) {
    const Secret binder = state.early[i].binder(covered);
    if (binder.empty()) return false;
    at = std::copy_n(binder.data(), binder.size(), at + 1);  // behind its own length
  }
  return true;
}

Progress ClientHandshake::take(uint8_t type, uint64_t epoch, ByteView body, Messages& messages,
                               SessionStep& step) {
  if (auto* const hello_sent = std::get_if<HelloSent>(&state_)) {
    // RFC 9147 section 6.1: a ServerHello is in the clear, all that follows is not.
    if (type != message_type::kServerHello || epoch != 0) return unexpected(type);
    return takeHello(*hello_sent, body, messages, step);
  }
  if (epoch != 2) return unexpected(type);
  if (auto* const extensions = std::get_if<AwaitingExtensions>(&state_)) {
    if (type != message_type::kEncryptedExtensions) return unexpected(type);
    std::string_view alpn;
    if (const Fault fault =
            parseEncryptedExtensions(body, !servername_.empty(), settings_->alpn, alpn)) {
      return malformed("EncryptedExtensions", *fault);
    }
    alpn_ = alpn;
    extensions->transcript.add(type, body);
    Keyed keyed = std::move(*extensions);
    state_ = AwaitingFinished{std::move(keyed)};
    return {};
  }
  auto* const finished = std::get_if<AwaitingFinished>(&state_);
  if (!finished || type != message_type::kFinished) return unexpected(type);
  return takeFinished(*finished, body, messages, step);
}

Progress ClientHandshake::takeHello(HelloSent& state, ByteView body, Messages& messages,
                                    SessionStep& step) {
  ServerHello hello;
  if (const Fault fault = parseServerHello(body, hello)) return malformed("ServerHello", *fault);
  if (!hello.speaks13) {
    // RFC 8446 section 4.1.3: a server that knows better was made to believe otherwise.
    if (hello.downgraded) {
      return handshakeFailure(alert::kIllegalParameter,
                              "somebody on the path removed DTLS 1.3 from the ClientHello: the "
                              "server knows DTLS 1.3 and answered with an older version",
                              "MCBN_PROTOCOL_ERROR");
    }
    return older();
  }
  const Suite* const suite = offered(hello.suite);
  if (!suite) return illegal("a cipher suite");
  if (hello.retry) return takeRetry(state, hello, body, messages, step);
  // RFC 8446 section 4.1.4: the suite stays what the HelloRetryRequest said.
  if (state.retried && state.retried != suite) return illegal("another cipher suite than before");
  if (!hello.psk) {
    return handshakeFailure(alert::kHandshakeFailure,
                            "the server did not use the pre-shared key; configure the key for "
                            "identity " +
                                quoted(identity()) + " on the server",
                            "MCBN_PSK_NOT_USED");
  }
  if (*hello.psk >= keys_.size()) return illegal("an identity");
  if ((hello.connection_id && !own_id_) || (hello.return_routability && !hello.connection_id)) {
    return malformed("ServerHello", alert::kUnsupportedExtension);
  }
  if (hello.connection_id && !messages.leavesRoom(*hello.connection_id)) {
    return handshakeFailure(alert::kHandshakeFailure,
                            "the server wants a connection ID of " +
                                std::to_string(hello.connection_id->size()) +
                                " bytes in every record, which leaves no room for messages; raise "
                                "mtu, or leave connectionId out");
  }
  Secret shared;
  if (hello.group) {
    if (!state.share || *hello.group != static_cast<uint16_t>(state.share->group())) {
      return illegal("a group");
    }
    shared = std::move(*state.share).finish(hello.share);
    if (shared.empty()) return malformed("key share", alert::kIllegalParameter);
  } else if (!(settings_->modes & kPskKe)) {
    return illegal("psk_ke, a key exchange without forward secrecy,");
  }

  Transcript transcript = std::move(state.transcript);
  transcript.add(message_type::kClientHello, state.hello);
  transcript.add(message_type::kServerHello, body);
  chosen_ = *hello.psk;
  const HandshakeSecret secret = state.early[chosen_].handshake(shared.view());
  TrafficSecrets traffic = secret.traffic(transcript.hash());
  if (!startHandshakeKeys(messages, Role::Client, *suite, traffic)) return outOfMemory();
  logSecret(keylog_, key_log::kClientHandshake, random_, traffic.client.view(), step);
  logSecret(keylog_, key_log::kServerHandshake, random_, traffic.server.view(), step);
  return_routability_ = hello.return_routability;
  // RFC 9146 section 3: where both sides said so, from the first encrypted record on.
  if (hello.connection_id) {
    messages.records().setPeerId({hello.connection_id->begin(), hello.connection_id->end()});
    if (!own_id_->empty()) messages.records().setOwnIds({*own_id_});
  }
  state_ = AwaitingExtensions{{suite, std::move(transcript), secret.master(), std::move(traffic)}};
  return {};
}

Progress ClientHandshake::takeRetry(HelloSent& state, const ServerHello& hello, ByteView body,
                                    Messages& messages, SessionStep& step) {
  // RFC 8446 section 4.1.4: once a handshake.
  if (state.retried) {
    return handshakeFailure(alert::kUnexpectedMessage, "the server asked for a third ClientHello",
                            "MCBN_PROTOCOL_ERROR");
  }
  if (!hello.group && hello.cookie.empty()) return illegal("a ClientHello like the first one,");
  if (hello.group) {
    const auto group = groupOf(*hello.group);
    // RFC 8446 section 4.2.8: one of ours, and not the one whose share it has.
    if (!state.share || !group || !hasGroup(*hello.group) || *group == state.share->group()) {
      return illegal("a group");
    }
    auto share = KeyShare::make(*group);
    if (!share) return outOfMemory();
    state.first_share = std::exchange(state.share, std::move(share));
  }
  state.transcript.add(message_type::kClientHello, state.hello);
  const HashValue first = state.transcript.hash();
  state.transcript.restart(first);
  state.transcript.add(message_type::kServerHello, body);
  state.retried = offered(hello.suite);
  state.retry.assign(body.begin(), body.end());
  state.first = std::exchange(state.hello, {});
  if (first.empty() || !writeHello(state, hello.cookie)) return outOfMemory();
  messages.beginFlight();
  messages.post(0, message_type::kClientHello, state.hello);
  messages.send(step);
  return {};
}

Progress ClientHandshake::takeFinished(AwaitingFinished& state, ByteView body, Messages& messages,
                                       SessionStep& step) {
  const PskHash hash = state.suite->hash;
  const Secret expected = finishedOf(hash, state.traffic.server, state.transcript.hash());
  if (expected.empty()) return outOfMemory();
  if (!equalSecrets(expected.view(), body)) {
    return handshakeFailure(alert::kDecryptError,
                            "the server's Finished does not fit what was said before it");
  }
  state.transcript.add(message_type::kFinished, body);
  const HashValue all = state.transcript.hash();
  TrafficSecrets traffic = state.master.traffic(all);
  const Secret ours = finishedOf(hash, state.traffic.client, all);
  if (traffic.empty() || ours.empty()) return outOfMemory();
  Exporter exporter = state.master.exporter(all);
  logSecret(keylog_, key_log::kClientTraffic, random_, traffic.client.view(), step);
  logSecret(keylog_, key_log::kServerTraffic, random_, traffic.server.view(), step);
  logSecret(keylog_, key_log::kExporter, random_, exporter.bytes(), step);
  messages.beginFlight();
  messages.post(2, message_type::kFinished, {ours.data(), ours.data() + ours.size()});
  messages.send(step);
  return Established({.suite = state.suite,
                      .read = std::move(traffic.server),
                      .write = std::move(traffic.client),
                      .older = {},
                      .exporter = std::move(exporter),
                      .identity = identity(),
                      .servername = servername_,
                      .alpn = alpn_,
                      .return_routability = return_routability_});
}

}  // namespace mcbn::dtls13
