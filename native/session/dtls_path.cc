// The return routability check in a DtlsSession: it answers challenges, sends those that its
// endpoint asks for, and hands on the answers (RFC 9853).
#include "session/dtls_session.h"

namespace mcbn {

void DtlsSession::takePathMessage(ByteView content) {
  const auto message = return_routability_ ? parsePathMessage(content) : std::nullopt;
  if (!message) return;
  if (message->type == PathMessageType::Response) return sink_->pathResponse(message->cookie);
  // A path_drop answers a challenge on an old path, which we never send.
  if (message->type != PathMessageType::Challenge) return;
  // RFC 9853 section 5.5: one answer, at once, to where the challenge came from.
  const PathMessage answer{PathMessageType::Response, message->cookie};
  const size_t size = sealInto(content_type::kReturnRoutabilityCheck, answer.bytes());
  if (size == 0) return;
  countDatagram(size);
  sink_->commitReply(size);
}

bool DtlsSession::challengePath(const PathCookie& cookie, SessionSink& sink) {
  if (state_ != State::Open || !return_routability_) return false;
  const Step step(*this, sink);
  const PathMessage challenge{PathMessageType::Challenge, cookie};
  const size_t size = sealInto(content_type::kReturnRoutabilityCheck, challenge.bytes());
  if (size == 0) return false;
  countDatagram(size);
  sink.commitDatagram(size);
  return true;
}

size_t DtlsSession::pathMessageSize() const {
  return records_ ? records_->sealedSize(PathMessage::kBytes) : 0;
}

}  // namespace mcbn
