#include "dtls13/cookie_exchange.h"

#include <openssl/rand.h>

#include <algorithm>
#include <functional>
#include <span>
#include <string_view>

#include "record/downgrade.h"
#include "record/dtls_record.h"

namespace mcbn::dtls13 {
namespace {

// What the cookie covers in place of a version: no ClientHello of DTLS 1.2 reaches the same bytes.
constexpr uint16_t kCookieDomain = kVersion13 & 0xFF;

}  // namespace

Choice choose(const Settings& settings, const ClientHello& hello) {
  Choice choice;
  const auto offers_hash = [&](PskHash hash) {
    return std::ranges::any_of(hello.offered(), [&](const PskOffer& offer) {
      return offer.binder.size() == hashBytes(hash);
    });
  };
  // A key belongs to one hash, and its binder says to which (RFC 8446 section 4.2.11).
  for (const Suite* suite : settings.suites) {
    if (hello.hasSuite(suite->id) && offers_hash(suite->hash)) {
      choice.suite = suite;
      break;
    }
  }
  const uint8_t modes = settings.modes & hello.modes;
  if (modes & kPskDheKe) {
    // A group that costs no round trip before a better one.
    for (const bool shared : {true, false}) {
      for (const Group group : settings.groups) {
        const auto id = static_cast<uint16_t>(group);
        if (choice.group || !hello.hasGroup(id) || hello.shareOf(id).empty() == shared) continue;
        choice.group = group;
        choice.needs_share = !shared;
      }
    }
  }
  if (!choice.group && !(modes & kPskKe)) choice.suite = nullptr;
  return choice;
}

CookieExchange::CookieExchange(std::shared_ptr<const Settings> settings, ByteView secretOrEmpty)
    : settings_(std::move(settings)), cookies_(secretOrEmpty) {
  RAND_bytes(reinterpret_cast<unsigned char*>(&seed_), sizeof seed_);
}

bool CookieExchange::usable() { return cookies_.usable() && sha256_.begin() && sha384_.begin(); }

CookieExchange::Verdict CookieExchange::take(ByteView address, MutableBytes datagram,
                                             uint64_t wall_seconds) {
  if (complete_) complete_->message.clear();
  complete_ = nullptr;
  hello_ = {};
  answer_size_ = 0;
  bad_cookie_ = false;
  bool partial = false;
  IncomingDatagram records(datagram);
  while (const auto record = records.next(0)) {
    if (record->encrypted || record->type != content_type::kHandshake) return Verdict::Ignored;
    hello_.record_sequence = record->number.sequence;
    for (Reader reader(record->body); !reader.empty();) {
      const auto fragment = nextFragment(reader);
      if (!fragment || fragment->type != message_type::kClientHello ||
          fragment->length > kMaxClientHelloBytes || fragment->messageSequence > 1) {
        return Verdict::Ignored;
      }
      hello_.message_sequence = fragment->messageSequence;
      if (fragment->whole()) {
        hello_.body = fragment->body;
      } else {
        partial = true;
        Slot& slot = slotOf(address, fragment->messageSequence);
        auto added = slot.message.add(fragment->length, fragment->offset, fragment->body);
        if (added == MessageAssembler::Added::Refused) {
          // Another hello of the same address, or somebody's in its name: the newest counts.
          slot.message.clear();
          added = slot.message.add(fragment->length, fragment->offset, fragment->body);
        }
        if (added != MessageAssembler::Added::Complete) continue;
        complete_ = &slot;
        hello_.body = slot.message.body();
      }
      ClientHello hello;
      const Fault fault = parseClientHello13(hello_.body, hello);
      // RFC 7507 section 3: a client that tries an older version, because a newer one did not work.
      if (!fault && !hello.speaks13 && hello.hasSuite(kFallbackScsv)) {
        return refuse(alert::kInappropriateFallback);
      }
      if (!fault && !hello.speaks13) return Verdict::Older;
      if (fault && !hello.speaks13) return Verdict::Ignored;
      return fault ? refuse(*fault) : judge(address, hello, wall_seconds);
    }
  }
  return partial ? Verdict::Partial : Verdict::Ignored;
}

CookieExchange::Verdict CookieExchange::judge(ByteView address, const ClientHello& hello,
                                              uint64_t wall_seconds) {
  // RFC 9147 section 5.3.
  if (!hello.legacy_cookie_empty) return refuse(alert::kIllegalParameter);
  if (hello_.message_sequence == 1) return verify(address, hello, wall_seconds);
  // A cookie belongs to one handshake, whose second message has it (RFC 9147 section 5.1).
  return hello.cookie.empty() ? retry(address, hello, wall_seconds)
                              : refuse(alert::kIllegalParameter);
}

CookieExchange::Verdict CookieExchange::retry(ByteView address, const ClientHello& hello,
                                              uint64_t wall_seconds) {
  const Choice choice = choose(*settings_, hello);
  if (!choice.suite) return refuse(alert::kHandshakeFailure);
  const uint16_t group = choice.needs_share ? static_cast<uint16_t>(*choice.group) : 0;
  std::array<uint8_t, kMostCookieBytes> cookie;
  uint8_t* at = putBigEndian(cookie.data(), choice.suite->id, 2);
  at = putBigEndian(at, group, 2);
  std::array<uint8_t, 4> header;
  putBigEndian(header.data(), uint64_t{message_type::kClientHello} << 24 | hello_.body.size(), 4);
  Hashing& hashing = choice.suite->hash == PskHash::Sha384 ? sha384_ : sha256_;
  if (!hashing.of({header, hello_.body}, at)) return Verdict::Ignored;
  at += hashBytes(choice.suite->hash);
  const auto proof = cookieOf(address, hello.random, {cookie.data(), at}, wall_seconds, {});
  if (!proof) return Verdict::Ignored;
  at = std::copy(proof->begin(), proof->end(), at);

  std::array<uint8_t, kMostRetryBytes> body;
  const size_t size =
      writeHelloRetryRequest(choice.suite->id, group, {cookie.data(), at}, body.data());
  uint8_t* out = beginAnswer(content_type::kHandshake, kDtlsHandshakeHeaderBytes + size);
  // Whole, and the first message of ours.
  out = putBigEndian(out, uint64_t{message_type::kServerHello} << 24 | size, 4);
  out = putBigEndian(out, 0, 5);
  out = putBigEndian(out, size, 3);
  std::copy_n(body.begin(), size, out);
  return Verdict::Answer;
}

CookieExchange::Verdict CookieExchange::verify(ByteView address, const ClientHello& hello,
                                               uint64_t wall_seconds) {
  Reader reader(hello.cookie);
  ByteView first, proof;
  const Suite* suite = reader.u16(hello_.suite) ? suiteOf(hello_.suite) : nullptr;
  const bool read = suite && reader.u16(hello_.group) &&
                    reader.take(hashBytes(suite->hash), first) &&
                    reader.take(kCookieBytes, proof) && reader.empty();
  // RFC 9147 section 5.1: the client may then begin anew.
  if (!read ||
      !cookieOf(address, hello.random, hello.cookie.first(hello.cookie.size() - proof.size()),
                wall_seconds, proof)) {
    bad_cookie_ = true;
    return refuse(alert::kIllegalParameter);
  }
  hello_.cookie = hello.cookie;
  hello_.first_hash = first;
  return Verdict::Verified;
}

// The cookie for what was told; with a given one, whether that is it.
std::optional<Cookie> CookieExchange::cookieOf(ByteView address, ByteView random, ByteView told,
                                               uint64_t wall_seconds, ByteView given) {
  std::array<uint8_t, 32> covered;
  if (!sha256_.of({random, told}, covered.data())) return std::nullopt;
  DtlsClientHello stands;
  stands.clientVersion = kCookieDomain;
  stands.random = covered;
  if (given.empty()) return cookies_.make(address, stands, wall_seconds);
  if (!cookies_.verify(address, stands, wall_seconds, given)) return std::nullopt;
  return Cookie{};
}

CookieExchange::Verdict CookieExchange::refuse(uint8_t alert) {
  uint8_t* out = beginAnswer(content_type::kAlert, 2);
  out[0] = alert::kFatal;
  out[1] = alert;
  return Verdict::Answer;
}

ByteView CookieExchange::refusal(uint8_t alert) {
  refuse(alert);
  return answer();
}

// A record in the clear, under the number of the hello: RFC 6347 section 4.2.1 asks for it, and a
// later answer to a later hello has another.
uint8_t* CookieExchange::beginAnswer(uint8_t type, size_t content) {
  answer_size_ = kPlaintextHeaderBytes + content;
  uint8_t* at = putBigEndian(answer_.data(), type, 1);
  at = putBigEndian(at, kDtls12, 2);
  at = putBigEndian(at, hello_.record_sequence, 8);
  return putBigEndian(at, content, 2);
}

CookieExchange::Slot& CookieExchange::slotOf(ByteView address, uint16_t sequence) {
  if (slots_.empty()) slots_ = std::vector<Slot>(kSets * kWays);
  // Strangers choose the addresses that they claim: without a secret they could choose a client's set.
  const size_t hash = std::hash<std::string_view>()(
      {reinterpret_cast<const char*>(address.data()), address.size()});
  const uint64_t mixed = (hash ^ seed_) * 0x9e3779b97f4a7c15ULL;
  const auto set = std::span(slots_).subspan((mixed >> 32) % kSets * kWays, kWays);
  Slot* oldest = set.data();
  for (Slot& slot : set) {
    if (slot.message.started() && slot.sequence == sequence &&
        std::ranges::equal(slot.address.view(), address)) {
      slot.used = ++fragments_;
      return slot;
    }
    if (!slot.message.started() || (oldest->message.started() && slot.used < oldest->used)) {
      oldest = &slot;
    }
  }
  oldest->message.clear();
  oldest->message.reserve();  // once: clear() keeps it
  oldest->address = {};
  if (!oldest->address.append(address)) MCBN_ASSERT(address.size() > kMaxAddressBytes);
  oldest->sequence = sequence;
  oldest->used = ++fragments_;
  return *oldest;
}

}  // namespace mcbn::dtls13
