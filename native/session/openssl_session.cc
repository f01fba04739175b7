#include "session/openssl_session.h"

#include "record/dtls_record.h"
#include "session/session_secrets.h"

namespace mcbn {
namespace {

// Of a server's last flight. OpenSSL ends a session with the 13th repeat that a peer asks for.
constexpr unsigned kMostRepeats = 10;

}  // namespace

// What OpenSSL writes goes to the step in progress.
class OpensslSession::Turn {
 public:
  Turn(OpensslSession& session, SessionStep& step) : session_(session) {
    MCBN_ASSERT(!session_.step_);
    session_.step_ = &step;
  }
  ~Turn() {
    session_.step_ = nullptr;
    session_.ssl_->wire.incoming = {};
  }

 private:
  OpensslSession& session_;
};

OpensslSession::OpensslSession(std::unique_ptr<DatagramSsl> ssl) : ssl_(std::move(ssl)) {
  MCBN_ASSERT(ssl_ && SSL_is_init_finished(ssl_->handshake.ssl()));
  // The handshake's object ends; nothing waits for an answer any more.
  DTLS_set_timer_cb(ssl_->handshake.ssl(), nullptr);
  SSL_set_app_data(ssl_->handshake.ssl(), this);
  SSL_set_info_callback(ssl_->handshake.ssl(), onInfo);
  ssl_->handshake.psk().wipeKey();
  ssl_->wire.outgoing = this;
}

void OpensslSession::receive(ByteView records, SessionStep& step) {
  const Turn turn(*this, step);
  while (!step.ended && !records.empty()) {
    const auto record = nextRecord(records);
    if (!record) return step.drop(DropReason::Malformed);
    if (record->epoch > 0 && record->fragment.size() < shortestRecord()) {
      step.drop(DropReason::Malformed);
      continue;
    }
    if (record->type == content_type::kHandshake && !mayRepeat()) {
      step.drop(DropReason::UnexpectedMessage);
      continue;
    }
    const uint64_t before = step.stats.messages_received;
    ssl_->wire.incoming = record->whole;
    const bool empty = readMessages(step) == Read::Empty;
    const bool silent = !step.ended && !empty && step.stats.messages_received == before;
    if (silent && record->type == content_type::kApplicationData) {
      step.drop(DropReason::Unreadable);
    }
    heard_data_ = heard_data_ || step.stats.messages_received != before;
  }
}

// Whether an encrypted handshake record can be a Finished that asks for ours again. All others stay
// out: a HelloRequest or ClientHello takes OpenSSL back into a handshake, where messages from the
// future leave it for good, and there is no renegotiation (RFC 6347 section 4.2.4). A client has the
// last word of nobody to repeat, and a client that has sent data has a server's.
bool OpensslSession::mayRepeat() {
  if (ssl_->handshake.role() == Role::Client || heard_data_) return false;
  return repeats_++ < kMostRepeats;
}

void OpensslSession::datagram(ByteView bytes) {
  MCBN_ASSERT(step_);
  step_->countDatagram(bytes.size());
  step_->sink.datagram(bytes);
}

size_t OpensslSession::shortestRecord() {
  if (shortest_record_ == 0) {
    shortest_record_ = shortestEncrypted(SSL_get_current_cipher(ssl_->handshake.ssl()));
  }
  return shortest_record_;
}

// A warning other than close_notify ends no session (RFC 5246 section 7.2). OpenSSL 3.0 looks at the same
// record again and again, until five warnings have ended it, unless the peer seems to have closed: then it
// throws the record away. For this one read it seems so.
void OpensslSession::onInfo(const SSL* ssl, int where, int value) {
  if ((where & SSL_CB_READ_ALERT) != SSL_CB_READ_ALERT) return;
  auto* const self = static_cast<OpensslSession*>(SSL_get_app_data(ssl));
  self->alert_ = value & 0xff;
  if (value >> 8 != alert::kWarning || self->alert_ == alert::kCloseNotify) return;
  SSL_set_shutdown(self->ssl_->handshake.ssl(), SSL_RECEIVED_SHUTDOWN);
  self->warned_ = true;
}

// Delivers every message of the record that was offered.
OpensslSession::Read OpensslSession::readMessages(SessionStep& step) {
  SSL* const ssl = ssl_->handshake.ssl();
  while (!step.ended) {
    alert_ = kNoAlert;
    warned_ = false;
    const int length = SSL_read(ssl, step.sink.reserveMessage(kMaxMessage), kMaxMessage);
    if (length > 0) {
      step.stats.messages_received += 1;
      step.sink.commitMessage(static_cast<size_t>(length));
      continue;
    }
    const int error = SSL_get_error(ssl, length);
    if (warned_) SSL_set_shutdown(ssl, 0);
    switch (error) {
      case SSL_ERROR_WANT_READ:
      case SSL_ERROR_WANT_WRITE:
        if (!SSL_is_init_finished(ssl)) {
          step.end(Failure{.code = "MCBN_PROTOCOL_ERROR",
                           .message = "the peer began another handshake inside the session"});
        }
        return Read::Nothing;
      case SSL_ERROR_ZERO_RETURN:
        SSL_shutdown(ssl);  // answer close_notify with our own (RFC 5246 section 7.2.1)
        step.end(std::nullopt);
        return Read::Nothing;
      default: {
        const OpensslError why = takeOpensslError();
        // OpenSSL 3.0 has no other word for an empty record or a warning: neither is an error (RFC
        // 5246 sections 6.2.1 and 7.2). What ends a session leaves one in the queue.
        if (why.code == 0) return Read::Empty;
        endBroken(why, step);
        return Read::Nothing;
      }
    }
  }
  return Read::Nothing;
}

void OpensslSession::endBroken(const OpensslError& why, SessionStep& step) {
  Failure failure{.code = "MCBN_PROTOCOL_ERROR",
                  .message = "the session broke: " + why.words(),
                  .reason = why.text,
                  .alert = alert_};
  if (warned_) {
    // Five in a row without a message between, or one no_renegotiation: nothing in OpenSSL's interface keeps it
    // from giving up over these.
    failure.message = "OpenSSL ended the session over the warning " + alertName(alert_) +
                      " from the peer (" + why.words() +
                      "); suites with an AEAD on mcbn's records live on";
  } else if (alert_ != kNoAlert) {
    failure.code = "MCBN_CONNECTION_LOST";
    failure.message = "the peer ended the session with the alert " + alertName(alert_);
  }
  step.end(failure);
}

bool OpensslSession::send(ByteView message, SessionStep& step) {
  const Turn turn(*this, step);
  SSL* const ssl = ssl_->handshake.ssl();
  if (SSL_write(ssl, message.data(), static_cast<int>(message.size())) > 0) {
    step.stats.messages_sent += 1;
    return true;
  }
  // The caller has been told that the message was taken: silence would be a lie.
  const OpensslError error = takeOpensslError();
  step.end(Failure{.code = "MCBN_PROTOCOL_ERROR",
                   .message = "OpenSSL could not make a record of a message: " + error.words(),
                   .reason = error.text});
  return false;
}

void OpensslSession::close(SessionStep& step) {
  const Turn turn(*this, step);
  SSL_shutdown(ssl_->handshake.ssl());
}

}  // namespace mcbn
