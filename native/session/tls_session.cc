#include "session/tls_session.h"

#include <algorithm>

namespace mcbn {
namespace {

// A peer that waits for our flight has nothing to send: two full records leave room for a TLS 1.2
// client's last flight behind a held ClientKeyExchange, and for data on its heels.
constexpr size_t kMaxHeldBytes = 2 * (kTlsRecordHeaderBytes + kMaxPlaintextBytes) + 64 * 1024;

std::string textOf(ByteView view) {
  return {reinterpret_cast<const char*>(view.data()), view.size()};
}

// OpenSSL has not seen the bytes that the screen refused, so the alert is ours (RFC 8446
// section 6.2).
Bytes plaintextAlert(uint8_t description) { return {21, 3, 1, 0, 2, 2, description}; }

}  // namespace

TlsSession::TlsSession(std::shared_ptr<const Context> context, const Options& options)
    : handshake_(std::move(context), options.keylog),
      ask_for_hint_(options.ask_for_hint),
      keylog_wanted_(options.keylog) {
  clearOpensslErrors();
  BIO* bio = handshake_.valid() ? pipe_.newBio() : nullptr;
  if (!bio) {
    fail({.message = "OpenSSL could not make a session: " + takeOpensslError().words()});
    return;
  }
  SSL* ssl = handshake_.ssl();
  SSL_set_bio(ssl, bio, bio);
  if (handshake_.role() == Role::Server) {
    SSL_set_accept_state(ssl);
    screen_.emplace(StreamScreen::Role::Server, handshake_.context().speaks12());
  } else {
    SSL_set_connect_state(ssl);
    screen_.emplace(StreamScreen::Role::Client, ask_for_hint_ && handshake_.context().speaks12());
    if (!options.servername.empty() && !handshake_.setServername(options.servername)) {
      fail({.code = "MCBN_OPTION_RANGE",
            .message = "servername: OpenSSL refused " + quoted(options.servername)});
    }
  }
  clearOpensslErrors();
}

TlsSession::Step TlsSession::useKey(Identity identity, PskEntry entry) {
  // A server asks for its keys.
  if (state_ != State::Fresh || handshake_.role() != Role::Client) return finish({});
  clearOpensslErrors();
  if (!handshake_.useKey(std::move(identity), std::move(entry))) {
    fail({.code = "MCBN_CIPHERS_INVALID",
          .message = "ciphers: no TLS 1.3 suite of the list has the hash of the key; add "
                     "TLS_AES_128_GCM_SHA256 for SHA-256 or TLS_AES_256_GCM_SHA384 for SHA-384"});
  }
  return finish({});
}

TlsSession::Step TlsSession::start() {
  if (state_ != State::Fresh) return finish({});
  state_ = State::Handshaking;
  clearOpensslErrors();
  return advance(true);
}

TlsSession::Step TlsSession::receive(ByteView ciphertext, std::span<uint8_t> plaintext) {
  if (state_ == State::Failed || closed_) return finish({});
  if (state_ == State::Fresh) state_ = State::Handshaking;
  clearOpensslErrors();
  Step step;
  if (state_ == State::Open && held_.empty()) {
    pipe_.inbound = ciphertext;
    readRecords(plaintext, step);
    held_.assign(pipe_.inbound.begin(), pipe_.inbound.end());
  } else {
    held_.insert(held_.end(), ciphertext.begin(), ciphertext.end());
    if (state_ == State::Handshaking) return shakeHandsBounded();
    pipe_.inbound = held_;
    readRecords(plaintext, step);
    held_.erase(held_.begin(), held_.end() - static_cast<ptrdiff_t>(pipe_.inbound.size()));
  }
  pipe_.inbound = {};
  return finish(step);
}

TlsSession::Step TlsSession::write(ByteView plaintext, std::span<uint8_t> ciphertext) {
  if (state_ != State::Open || shutdown_sent_ || plaintext.empty()) return finish({});
  clearOpensslErrors();
  pipe_.outbound = ciphertext;
  size_t written = 0;
  // The pipe never blocks, so one call takes everything.
  if (SSL_write_ex(handshake_.ssl(), plaintext.data(), plaintext.size(), &written) != 1) {
    fail(explainRecord());
  }
  Step step;
  step.length = ciphertext.size() - pipe_.outbound.size();
  pipe_.outbound = {};
  return finish(step);
}

TlsSession::Step TlsSession::shutdown() {
  if (state_ != State::Open || shutdown_sent_) return finish({});
  clearOpensslErrors();
  shutdown_sent_ = true;
  SSL_shutdown(handshake_.ssl());
  return finish({});
}

TlsSession::Step TlsSession::answer(uint32_t number, PskAnswer answer) {
  if (state_ != State::Handshaking) return finish({});
  clearOpensslErrors();
  if (!handshake_.psk().answer(number, std::move(answer))) return finish({});
  if (screen_->holding()) screen_->release();
  return advance(true);
}

bool TlsSession::exportKeyingMaterial(std::string_view label, std::optional<ByteView> context,
                                      std::span<uint8_t> out) const {
  return state_ == State::Open && handshake_.exportKeyingMaterial(label, context, out);
}

// ---- the handshake -----------------------------------------------------------------------------

TlsSession::Step TlsSession::advance(bool possible) {
  while (possible) {
    shakeHands();
    possible = passScreened();
  }
  return finish({});
}

// Judged by what is left when the handshake has gone as far as it can: a chunk that finishes it may
// bring any amount of data along.
TlsSession::Step TlsSession::shakeHandsBounded() {
  while (passScreened()) shakeHands();
  if (state_ == State::Handshaking && held_.size() > kMaxHeldBytes) {
    news_ &= ~static_cast<uint32_t>(kQuestion);
    fail({.code = "MCBN_PROTOCOL_ERROR",
          .message = "the peer sent more than a handshake can need before it was answered"});
  }
  return finish({});
}

// Whether there is something new for OpenSSL to read.
bool TlsSession::passScreened() {
  if (state_ != State::Handshaking || handshake_.psk().asking()) return false;
  if (screen_->holding() && !settleScreened()) return false;
  const size_t passed = screen_->pass(ByteView(held_).subspan(passed_));
  passed_ += passed;
  if (screen_->state() == StreamScreen::State::Refused) {
    const bool length = screen_->refusal() != StreamScreen::Refusal::NotTls;
    if (length) pipe_.overflow = plaintextAlert(22);  // record_overflow
    fail({.code = "MCBN_PROTOCOL_ERROR",
          .message = std::string("the peer does not speak TLS as it should: ") +
                     nameOf(screen_->refusal())});
    return false;
  }
  // Holding begins behind the bytes that passed: OpenSSL reads those first.
  if (passed > 0) return true;
  return screen_->holding() && settleScreened() && passScreened();
}

// What the screen holds is the point where OpenSSL would ask for the key. True once it is settled.
bool TlsSession::settleScreened() {
  Negotiation& psk = handshake_.psk();
  if (handshake_.role() == Role::Server) {
    const auto identity = screen_->identity();
    if (identity && !psk.resolve(textOf(*identity), Protocol::Tls12)) {
      ask();
      return false;
    }
  } else {
    const auto hint = screen_->hint();
    const bool hinted = hint && !hint->empty();
    // A function that has chosen for "no hint" need not choose again when there is none.
    if (hinted || psk.state() == Negotiation::State::None) {
      psk.askForHint(hinted ? std::optional(textOf(*hint)) : std::nullopt, Protocol::Tls12);
      ask();
      return false;
    }
  }
  screen_->release();
  return true;
}

void TlsSession::shakeHands() {
  pipe_.inbound = ByteView(held_).first(passed_);
  const int result = SSL_do_handshake(handshake_.ssl());
  const int error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(handshake_.ssl(), result);
  const size_t consumed = passed_ - pipe_.inbound.size();
  held_.erase(held_.begin(), held_.begin() + static_cast<ptrdiff_t>(consumed));
  passed_ -= consumed;
  pipe_.inbound = {};
  switch (error) {
    case SSL_ERROR_NONE:
      return becomeOpen();
    case SSL_ERROR_WANT_READ:
      return;
    case SSL_ERROR_WANT_CLIENT_HELLO_CB:
      return ask();
    case SSL_ERROR_ZERO_RETURN:
      return fail({.code = "MCBN_HANDSHAKE_FAILED",
                   .message = "the peer closed the connection during the handshake",
                   .alert = alert::kCloseNotify});
    default:
      return fail(handshake_.explain());
  }
}

void TlsSession::becomeOpen() {
  auto proved = handshake_.prove();
  if (auto* const failure = std::get_if<Failure>(&proved)) {
    pipe_.overflow.clear();  // our Finished would tell this peer that we are content
    return fail(std::move(*failure));
  }
  proved_ = std::get<Proved>(std::move(proved));
  handshake_.psk().wipeKey();
  screen_.reset();
  state_ = State::Open;
  news_ |= kOpened;
}

// ---- records -----------------------------------------------------------------------------------

void TlsSession::readRecords(std::span<uint8_t> plaintext, Step& step) {
  SSL* ssl = handshake_.ssl();
  while (step.length < plaintext.size()) {
    const auto room = plaintext.subspan(step.length);
    size_t count = 0;
    if (SSL_read_ex(ssl, room.data(), room.size(), &count) == 1) {
      step.length += count;
      news_ |= kPlaintext;
      continue;
    }
    switch (SSL_get_error(ssl, 0)) {
      case SSL_ERROR_WANT_READ:
        return;
      case SSL_ERROR_ZERO_RETURN:
        closed_ = true;
        news_ |= kClosed;
        pipe_.inbound = {};  // RFC 8446 section 6.1: what follows close_notify is ignored
        return;
      default:
        return fail(explainRecord());
    }
  }
  if (SSL_pending(ssl) > 0 || !pipe_.inbound.empty()) news_ |= kMore;
}

Failure TlsSession::explainRecord() {
  const OpensslError error = takeOpensslError();
  if (handshake_.alertReceived() > alert::kCloseNotify) {
    const int alert = handshake_.alertReceived();
    return {.code = "MCBN_CONNECTION_LOST",
            .message = "the peer ended the connection with the alert " + alertName(alert),
            .reason = error.text,
            .alert = alert};
  }
  return {.code = "MCBN_PROTOCOL_ERROR",
          .message = "the connection was ended: a record from the peer could not be accepted (" +
                     error.words() + ")",
          .reason = error.text,
          .alert = handshake_.alertSent()};
}

// ---- what a step leaves ------------------------------------------------------------------------

TlsSession::Step TlsSession::finish(Step step) {
  if (keylog_wanted_) {
    for (std::string& line : handshake_.takeKeylog()) keylog_.push_back(std::move(line));
  }
  step.ready = news_;
  news_ = kNothing;
  if (!pipe_.overflow.empty()) step.ready |= kCiphertext;
  if (!keylog_.empty()) step.ready |= kKeylog;
  // Behind the opening there may be data already: the caller comes back with room for it.
  if (state_ == State::Open && (step.ready & kOpened) && !held_.empty()) step.ready |= kMore;
  clearOpensslErrors();  // node:crypto and node:tls read the same queue
  return step;
}

void TlsSession::ask() { news_ |= kQuestion; }

void TlsSession::fail(Failure failure) {
  if (state_ == State::Failed) return;
  state_ = State::Failed;
  failure_ = std::move(failure);
  news_ |= kFailed;
  handshake_.psk().wipeKey();
  pipe_.inbound = {};  // it may point into held_
  held_.clear();
  passed_ = 0;
}

}  // namespace mcbn
