// A DtlsSession whose handshake is done: the record layer takes over from OpenSSL, or OpenSSL goes
// on.
#include <algorithm>
#include <cstring>
#include <utility>

#include "session/dtls_session.h"

namespace mcbn {
namespace {

// JavaScript keeps messages for a while, so the memory for new ones is in no cache. It is fetched
// while the record is decrypted elsewhere: a tenth of what a large message costs.
void prefetch(const uint8_t* bytes, size_t length) {
  constexpr size_t kCacheLine = 64;
  for (size_t at = 0; at < length; at += kCacheLine) __builtin_prefetch(bytes + at, 1);
}

}  // namespace

// From OpenSSL's record layer to ours. False: the session stays where it is.
bool DtlsSession::takeOver(uint64_t last_read) {
  if (options_.openssl_records) return false;
  const AeadSuite* suite = aeadSuiteOf(SSL_get_current_cipher(handshake_->ssl()));
  auto secrets = suite ? ExporterSecrets::of(handshake_->ssl()) : std::nullopt;
  auto keys = secrets ? secrets->recordKeys(*suite, role_) : std::nullopt;
  if (!keys) return false;
  const bool with_ids = connection_id_ && connection_id_->agreed();
  records_ = std::make_unique<RecordLayer>(*suite, kEpoch, std::move(*keys), encrypted_sequence_,
                                           last_read, ciphers_, options_.replay_window,
                                           with_ids ? connection_id_->ids() : ConnectionIds());
  return_routability_ =
      with_ids && connection_id_->returnRoutability() && connection_id_->ids().used();
  secrets_ = std::move(secrets);
  last_flight_.shrink_to_fit();
  identity_ = handshake_->psk().identity();
  flushKeylog();
  handshake_.reset();
  connection_id_.reset();
  reframing_.reset();
  return true;
}

void DtlsSession::readEarlyRecords() {
  const std::vector<Bytes> early = std::exchange(early_, {});
  for (const Bytes& bytes : early) {
    if (state_ == State::Ended) return;
    ByteView rest = bytes;
    readOpen(*nextRecord(rest, connectionIdLength()));
  }
}

void DtlsSession::readOpen(const DtlsRecord& record) {
  if (records_) return readRecord(record);
  const uint64_t before = stats_.messages_received;
  wire_.incoming = record.whole;
  readMessages();
  const bool silent = state_ == State::Open && stats_.messages_received == before;
  if (silent && record.type == content_type::kApplicationData) drop(DropReason::Unreadable);
}

void DtlsSession::readRecord(const DtlsRecord& record) {
  uint8_t* const message = sink_->reserveMessage(record.fragment.size());
  prefetch(message, record.fragment.size());
  // In the memory that receive() was lent, or in a copy of our own.
  auto* const place = const_cast<uint8_t*>(record.fragment.data());
  const auto length = records_->open(record, place);
  if (!length) {
    drop(records_->dropReason());
    if (records_->dropReason() == DropReason::BadMac) endIfExhausted();
    return;
  }
  if (records_->newest()) heard_newer_ = true;
  const ByteView content(place + records_->contentOffset(), *length);
  switch (records_->contentType()) {
    case content_type::kApplicationData:
      if (content.empty() || content.size() > kMaxMessage) return;  // RFC 5246 section 6.2.1
      stats_.messages_received += 1;
      std::memcpy(message, content.data(), content.size());
      return sink_->commitMessage(content.size());
    case content_type::kHandshake:
      // A Finished again: ours was lost. A new handshake inside this one is not to be had.
      if (!content.empty() && content[0] == handshake_type::kFinished) return repeatLastFlight();
      return sendAlert(alert::kWarning, alert::kNoRenegotiation);
    case content_type::kAlert:
      return takeAlert(content);
    case content_type::kReturnRoutabilityCheck:
      return takePathMessage(content);
    default:
      return;
  }
}

void DtlsSession::takeAlert(ByteView content) {
  if (content.size() != 2) return;
  const uint8_t description = content[1];
  if (description == alert::kCloseNotify) {
    sendAlert(alert::kWarning, alert::kCloseNotify);  // RFC 5246 section 7.2.1
    state_ = State::Ended;
    return sink_->ended(std::nullopt);
  }
  if (content[0] != alert::kFatal) return;
  fail({.code = "MCBN_CONNECTION_LOST",
        .message = "the peer ended the session with the alert " + alertName(description),
        .alert = description});
}

void DtlsSession::repeatLastFlight() {
  if (last_flight_.empty()) return;
  stats_.retransmits += 1;
  sink_->retransmitted();
  for (const Bytes& sent : last_flight_) datagram(sent);
}

void DtlsSession::sendAlert(uint8_t level, uint8_t description) {
  const uint8_t content[] = {level, description};
  const size_t size = sealInto(content_type::kAlert, content);
  if (size == 0) return;
  countDatagram(size);
  sink_->commitDatagram(size);
}

// A record of ours where the sink wants the next datagram, to be committed; 0: none could be made.
size_t DtlsSession::sealInto(uint8_t type, ByteView content) {
  const size_t size = records_->sealedSize(content.size());
  return records_->seal(type, content, sink_->reserveDatagram(size)) ? size : 0;
}

void DtlsSession::endIfExhausted() {
  if (state_ != State::Open || !records_->exhausted()) return;
  sendAlert(alert::kWarning, alert::kCloseNotify);
  fail({.code = "MCBN_CONNECTION_LOST",
        .message = "the session's keys have protected, or refused, as many records as is safe (RFC "
                   "9147 section 4.5.3); connect again"});
}

// Delivers every message of the datagram that was offered; one may carry several records.
void DtlsSession::readMessages() {
  SSL* ssl = handshake_->ssl();
  while (state_ == State::Open) {
    const int length = SSL_read(ssl, sink_->reserveMessage(kMaxMessage), kMaxMessage);
    if (length > 0) {
      stats_.messages_received += 1;
      sink_->commitMessage(static_cast<size_t>(length));
      continue;
    }
    switch (SSL_get_error(ssl, length)) {
      case SSL_ERROR_WANT_READ:
      case SSL_ERROR_WANT_WRITE:
        return;
      case SSL_ERROR_ZERO_RETURN:
        SSL_shutdown(ssl);  // answer close_notify with our own (RFC 5246 section 7.2.1)
        state_ = State::Ended;
        sink_->ended(std::nullopt);
        return;
      default: {
        const OpensslError error = takeOpensslError();
        const int alert = handshake_->alertReceived();
        return fail({.code = alert != kNoAlert ? "MCBN_CONNECTION_LOST" : "MCBN_PROTOCOL_ERROR",
                     .message = alert != kNoAlert ? "the peer ended the session with the alert " +
                                                        alertName(alert)
                                                  : "the session broke: " + error.text,
                     .reason = error.text,
                     .alert = alert});
      }
    }
  }
}

// ---- sending -----------------------------------------------------------------------------------

bool DtlsSession::send(ByteView message, Milliseconds, SessionSink& sink) {
  if (state_ != State::Open) return false;
  const Step step(*this, sink);
  if (records_) {
    const size_t size = sealInto(content_type::kApplicationData, message);
    if (size == 0) return false;
    sink.commitDatagram(size);
    countSent(size);
    return true;
  }
  if (SSL_write(handshake_->ssl(), message.data(), static_cast<int>(message.size())) <= 0) {
    return false;
  }
  stats_.messages_sent += 1;
  return true;
}

bool DtlsSession::sendInPlace(MutableBytes message, Milliseconds now, SessionSink& sink) {
  if (!records_ || records_->before() > kRoomBefore || records_->behind() > kRoomBehind) {
    return send(message, now, sink);
  }
  if (state_ != State::Open) return false;
  const Step step(*this, sink);
  uint8_t* const record = message.data() - records_->before();
  if (!records_->seal(content_type::kApplicationData, message, record)) return false;
  const size_t size = records_->sealedSize(message.size());
  sink.lendDatagram({record, size});
  countSent(size);
  return true;
}

void DtlsSession::countDatagram(size_t bytes) {
  stats_.datagrams_sent += 1;
  stats_.bytes_sent += bytes;
}

void DtlsSession::countSent(size_t datagram) {
  countDatagram(datagram);
  stats_.messages_sent += 1;
  endIfExhausted();
}

void DtlsSession::close(SessionSink& sink) {
  if (state_ == State::Ended) return;
  const Step step(*this, sink);
  if (records_) {
    sendAlert(alert::kWarning, alert::kCloseNotify);
  } else if (state_ == State::Open) {
    SSL_shutdown(handshake_->ssl());
  } else {
    cancelHandshake();
  }
  state_ = State::Ended;
}

bool DtlsSession::exportKeyingMaterial(std::string_view label, std::optional<ByteView> context,
                                       std::span<uint8_t> out) const {
  if (!open()) return false;
  if (secrets_) return secrets_->exportKeyingMaterial(label, context, out);
  return handshake_->exportKeyingMaterial(label, context, out);
}

}  // namespace mcbn
