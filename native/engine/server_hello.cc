// How a ServerEndpoint answers hellos: nothing is kept for an address that has not echoed a cookie
// (RFC 6347 section 4.2.1, RFC 9147 section 5.1), whichever version of DTLS it asks for.
//
// Where the server has DTLS 1.3, a hello that offers it is answered in 1.3 or not at all: somebody on
// the path who removes the offer changes what the Finished of either side covers, in every key
// exchange that there is here, since all of them have the pre-shared key.
#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "engine/server_endpoint.h"
#include "record/hello_verify_request.h"

namespace mcbn {
namespace {

bool beginsWithHello(ByteView datagram) {
  constexpr size_t kEpochAt = 3;
  return datagram.size() > kDtlsRecordHeaderBytes && datagram[0] == content_type::kHandshake &&
         datagram[kEpochAt] == 0 && datagram[kEpochAt + 1] == 0 &&
         datagram[kDtlsRecordHeaderBytes] == handshake_type::kClientHello;
}

// The message in one record, as it would have come whole.
void writeWhole(const dtls13::VerifiedHello& hello, Bytes& out) {
  const size_t size = hello.body.size();
  out.resize(dtls13::kPlaintextHeaderBytes + kDtlsHandshakeHeaderBytes);
  uint8_t* at = putBigEndian(out.data(), content_type::kHandshake, 1);
  at = putBigEndian(at, kDtls12, 2);
  at = putBigEndian(at, hello.record_sequence, 8);
  at = putBigEndian(at, kDtlsHandshakeHeaderBytes + size, 2);
  at = putBigEndian(at, uint64_t{handshake_type::kClientHello} << 24 | size, 4);
  at = putBigEndian(at, hello.message_sequence, 2);
  at = putBigEndian(at, 0, 3);
  putBigEndian(at, size, 3);
  out.insert(out.end(), hello.body.begin(), hello.body.end());
}

}  // namespace

// False: it is no hello that anything is to be done about.
bool ServerEndpoint::greet(const Address& from, MutableBytes datagram, Milliseconds now) {
  using Verdict = dtls13::CookieExchange::Verdict;
  if (cookies13_) {
    if (!beginsWithHello(datagram)) return false;
    const AddressBytes address = from.bytes();
    switch (cookies13_->take(address.view(), datagram, wallSeconds())) {
      case Verdict::Partial:
        return true;
      case Verdict::Older:
        greetOlder(from, datagram, now);
        return true;
      case Verdict::Answer:
        if (cookies13_->refusesCookie()) stats_.dropped_bad_cookie += 1;
        if (!mayAnswer()) return true;
        post(from, cookies13_->answer());
        if (cookies13_->refusesCookie()) return true;
        (cookies13_->refuses() ? stats_.dropped_refusals : stats_.hello_verify_requests) += 1;
        return true;
      case Verdict::Verified:
        hello13(from, datagram, now);
        return true;
      case Verdict::Ignored:
        break;
    }
  }
  // The hello of a DTLS 1.2 that takes liberties.
  const auto parsed = options_.speaks12 ? parseClientHello(datagram) : std::nullopt;
  if (parsed) hello(from, datagram, *parsed, now);
  return parsed.has_value();
}

// One that does not offer DTLS 1.3, maybe the last fragment of it.
void ServerEndpoint::greetOlder(const Address& from, MutableBytes datagram, Milliseconds now) {
  if (!options_.speaks12) {
    if (mayAnswer()) post(from, cookies13_->refusal(alert::kProtocolVersion));
    stats_.dropped_refusals += 1;
    return;
  }
  const auto parsed = parseClientHello(datagram);
  if (parsed && !parsed->fragmented) return hello(from, datagram, *parsed, now);
  writeWhole(cookies13_->hello(), whole_);
  if (const auto whole = parseClientHello(whole_)) hello(from, whole_, *whole, now);
}

// What waits for a full system buffer is memory, and anybody can ask for a cookie.
bool ServerEndpoint::mayAnswer() {
  if (blocked()) stats_.dropped_sends += 1;
  return !blocked();
}

// Whether the hello has begun a session already, which has it then.
bool ServerEndpoint::repeats(const Address& from, MutableBytes datagram, ByteView random,
                             Milliseconds now) {
  const auto* const place = directory_.at(from);
  if (!place) return false;
  for (Association* known : {place->candidate, place->current}) {
    if (!known || !std::ranges::equal(random, known->random)) continue;
    // Every handshake has its own random: a copy that comes after it was delayed by the network.
    known->opened ? dropped(DropReason::Duplicate) : deliver(*known, datagram, now);
    return true;
  }
  return false;
}

bool ServerEndpoint::mayBegin(const Address& from, Milliseconds now) {
  if (!pace_.allows(from, now) || !makeRoom(from, now)) {
    stats_.dropped_limit += 1;
    return false;
  }
  pace_.begun(from, now);
  return true;
}

void ServerEndpoint::hello(const Address& from, MutableBytes datagram, const DtlsClientHello& hello,
                           Milliseconds now) {
  if (!hello.cookie.empty() && repeats(from, datagram, hello.random, now)) return;
  const AddressBytes address = from.bytes();
  const uint64_t seconds = wallSeconds();
  if (hello.cookie.empty() || !cookies_.verify(address.view(), hello, seconds, hello.cookie)) {
    if (!hello.cookie.empty()) stats_.dropped_bad_cookie += 1;
    if (!mayAnswer()) return;
    post(from, helloVerifyRequest(hello, cookies_.make(address.view(), hello, seconds)));
    stats_.hello_verify_requests += 1;
    return;
  }
  if (opened_hellos_.has(address.view(), hello.random, seconds)) {
    return dropped(DropReason::Duplicate);
  }
  if (!mayBegin(from, now)) return;
  Association& association = enlist(std::make_unique<Association>(nextSession(), from, context_,
                                                                  options_.dtls, services_.ciphers),
                                    hello.random, now);
  enter(association);
  association.session.accept(datagram, now, *this);
  leave();
}

void ServerEndpoint::hello13(const Address& from, MutableBytes datagram, Milliseconds now) {
  constexpr size_t kRandomAt = 2;
  const ByteView random =
      cookies13_->hello().body.subspan(kRandomAt, std::tuple_size_v<decltype(Association::random)>);
  if (repeats(from, datagram, random, now)) return;
  if (opened_hellos_.has(from.bytes().view(), random, wallSeconds())) {
    return dropped(DropReason::Duplicate);
  }
  if (const auto alert = refusals_.of(from.bytes(), random)) {
    if (mayAnswer()) post(from, cookies13_->refusal(*alert));
    stats_.dropped_refusals += 1;
    return;
  }
  if (!mayBegin(from, now)) return;
  Association& association = enlist(std::make_unique<Association>(nextSession(), from, Role::Server,
                                                                  options_.dtls13, options_.dtls),
                                    random, now);
  enter(association);
  association.session.accept(cookies13_->hello(), now, *this);
  leave();
}

void ServerEndpoint::rememberRefusal(const Association& association) {
  const auto alert = association.session.keyRefusal();
  if (alert) refusals_.remember(association.peer.bytes(), association.random, *alert);
}

// A client that starts over half-way takes the place that it has.
bool ServerEndpoint::replacesHandshake(const Address& from) {
  const auto* const place = directory_.at(from);
  return place && (place->candidate || !place->current->opened);
}

uint32_t ServerEndpoint::nextSession() {
  do last_session_ += 1;
  while (last_session_ == 0 || associations_.contains(last_session_));
  return last_session_;
}

// A handshake begins: it is found by its address from now on.
Association& ServerEndpoint::enlist(std::unique_ptr<Association> made, ByteView random,
                                    Milliseconds now) {
  Association& association = *made;
  std::ranges::copy(random, association.random.begin());
  association.active = now;
  waits(association, now);
  associations_.emplace(association.id, std::move(made));
  stats_.handshakes_started += 1;
  stats_.sessions = associations_.size();

  if (Association* const replaced = directory_.enter(association)) {
    // The same address began another handshake: the half-finished one leads nowhere.
    endWith(*replaced, {.code = "MCBN_HANDSHAKE_FAILED",
                        .message = "the client began another handshake from the same port"});
  }
  // Without a free ID the session does without: its address is enough.
  if (options_.dtls.connection_id &&
      (directory_.idLength() == 0 || directory_.giveId(association))) {
    association.session.useConnectionId(association.connection_id);
  }
  return association;
}

}  // namespace mcbn
