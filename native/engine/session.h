// session.h: one session of an endpoint, whichever version of DTLS it speaks.
//
//   Session --DTLS 1.2--> DtlsSession     in place, found by one comparison
//          `--DTLS 1.3--> Dtls13Session   behind a pointer, so that one of 1.2 takes no more room for it
//
// A call goes to the session that is there, whole: a batch stays a batch. What DTLS 1.3 lacks (export,
// rows of a session store) is answered as by a session that cannot go on
// elsewhere: see portable().
//
// Ownership   an Association owns it.
// Thread      the I/O thread of its endpoint.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <variant>

#include "dtls13/dtls13_session.h"
#include "session/dtls_session.h"

namespace mcbn {

class Session {
  using Newer = std::unique_ptr<dtls13::Dtls13Session>;

  DtlsSession* older() { return std::get_if<DtlsSession>(&session_); }
  const DtlsSession* older() const { return std::get_if<DtlsSession>(&session_); }
  dtls13::Dtls13Session& newer() { return **std::get_if<Newer>(&session_); }
  const dtls13::Dtls13Session& newer() const { return **std::get_if<Newer>(&session_); }

  template <typename Call>
  decltype(auto) with(Call&& call) {
    if (DtlsSession* const session = older()) return call(*session);
    return call(newer());
  }
  template <typename Call>
  decltype(auto) with(Call&& call) const {
    if (const DtlsSession* const session = older()) return call(*session);
    return call(newer());
  }

 public:
  // Of DTLS 1.2.
  Session(std::shared_ptr<const Context> context, const DtlsOptions& options,
          CipherContexts* ciphers)
      : session_(std::in_place_type<DtlsSession>, std::move(context), options, ciphers) {}
  // The same, open from the beginning.
  Session(OpenState state, CipherContexts* ciphers)
      : session_(std::in_place_type<DtlsSession>, std::move(state), ciphers) {}
  // Of DTLS 1.3.
  Session(Role role, std::shared_ptr<const dtls13::Settings> settings, const DtlsOptions& options)
      : session_(std::make_unique<dtls13::Dtls13Session>(role, std::move(settings), options)) {}

  bool speaks13() const { return !older(); }

  void useConnectionId(Bytes own) {
    with([&](auto& session) { session.useConnectionId(std::move(own)); });
  }
  // Server: the first for a session of DTLS 1.2, the other for one of 1.3.
  void accept(ByteView hello, Milliseconds now, SessionSink& sink) {
    MCBN_ASSERT(older());
    older()->accept(hello, now, sink);
  }
  void accept(const dtls13::VerifiedHello& hello, Milliseconds now, SessionSink& sink) {
    MCBN_ASSERT(!older());
    newer().accept(hello, now, sink);
  }
  // `others`: with DTLS 1.3 only.
  void connect(std::optional<std::pair<Identity, PskEntry>> key,
               std::vector<dtls13::ClientKey> others, Milliseconds now, SessionSink& sink) {
    MCBN_ASSERT(others.empty() || !older());
    if (older()) return older()->connect(std::move(key), now, sink);
    newer().connect(std::move(key), now, sink, std::move(others));
  }

  void receive(std::span<const MutableBytes> datagrams, Milliseconds now, SessionSink& sink) {
    with([&](auto& session) { session.receive(datagrams, now, sink); });
  }
  void answer(uint32_t number, PskAnswer answer, std::optional<Failure> failure, Milliseconds now,
              SessionSink& sink) {
    with([&](auto& session) {
      session.answer(number, std::move(answer), std::move(failure), now, sink);
    });
  }
  bool asks(uint32_t number) const {
    return with([&](const auto& session) { return session.asks(number); });
  }
  size_t sendInPlace(std::span<const MutableBytes> messages, Milliseconds now, SessionSink& sink) {
    return with([&](auto& session) { return session.sendInPlace(messages, now, sink); });
  }
  // See Dtls13Session; false of every session of DTLS 1.2.
  bool updateKeys(bool both, Milliseconds now, SessionSink& sink) {
    return !older() && newer().updateKeys(both, now, sink);
  }
  void close(SessionSink& sink) {
    with([&](auto& session) { session.close(sink); });
  }

  Milliseconds deadline() const {
    return with([](const auto& session) { return session.deadline(); });
  }
  void expire(Milliseconds now, SessionSink& sink) {
    with([&](auto& session) { session.expire(now, sink); });
  }

  bool awaitsFinished() const {
    return with([](const auto& session) { return session.awaitsFinished(); });
  }
  bool returnRoutability() const {
    return with([](const auto& session) { return session.returnRoutability(); });
  }
  bool challengePath(const PathCookie& cookie, SessionSink& sink) {
    return with([&](auto& session) { return session.challengePath(cookie, sink); });
  }
  size_t pathMessageSize() const {
    return with([](const auto& session) { return session.pathMessageSize(); });
  }
  // Whether the datagram's first record may belong to an epoch of DTLS 1.3 after a KeyUpdate.
  bool updatedTo(uint64_t epoch_bits) const {
    return !older() && newer().association() && newer().association()->updatedTo(epoch_bits);
  }
  // See Dtls13Session; DTLS 1.2 tells its client nothing that would have to be told again.
  std::optional<uint8_t> keyRefusal() const {
    return older() ? std::nullopt : newer().keyRefusal();
  }
  const Identity& identity() const {
    return with([](const auto& session) -> const Identity& { return session.identity(); });
  }
  const SessionStats& stats() const {
    return with([](const auto& session) -> const SessionStats& { return session.stats(); });
  }
  ByteView ownConnectionId() const {
    return with([](const auto& session) -> ByteView { return session.ownConnectionId(); });
  }
  ByteView peerConnectionId() const {
    return with([](const auto& session) -> ByteView { return session.peerConnectionId(); });
  }
  bool heardNewer() const {
    return with([](const auto& session) { return session.heardNewer(); });
  }
  Milliseconds roundTrip() const {
    return with([](const auto& session) { return session.roundTrip(); });
  }
  void setKeylog(bool on) {
    with([&](auto& session) { session.setKeylog(on); });
  }
  bool exportKeyingMaterial(std::string_view label, std::optional<ByteView> context,
                            std::span<uint8_t> out) const {
    return with(
        [&](const auto& session) { return session.exportKeyingMaterial(label, context, out); });
  }

  // ---- of DTLS 1.2 alone

  // False of every session of DTLS 1.3.
  bool portable() const { return older() && older()->portable(); }
  // Only where portable().
  Opened describe() const { return older()->describe(); }
  size_t maxMessage(size_t mtu) const { return older()->maxMessage(mtu); }
  void reserve(bool from_row, size_t mtu, Milliseconds now) {
    older()->reserve(from_row, mtu, now);
  }
  OpenState row(Milliseconds now) { return older()->row(now); }

  std::optional<OpenState> takeState() { return older() ? older()->takeState() : std::nullopt; }
  bool rowDue(Milliseconds now) { return older() && older()->rowDue(now); }
  bool rowAwaited() const { return older() && older()->rowAwaited(); }
  Milliseconds rowDeadline() const { return older() ? older()->rowDeadline() : kNever; }
  void rowOutdated() {
    if (older()) older()->rowOutdated();
  }
  void rowWritten(Milliseconds now, SessionSink& sink) {
    if (older()) older()->rowWritten(now, sink);
  }

  // Of one that came from elsewhere.
  bool heardMessage() const { return older() && older()->heardMessage(); }

 private:
  std::variant<DtlsSession, Newer> session_;
};

}  // namespace mcbn
