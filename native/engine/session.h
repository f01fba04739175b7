// session.h: one session of an endpoint, whichever version of DTLS it speaks.
//
//   Session --DTLS 1.2--> DtlsSession     in place, found by one comparison
//          `--DTLS 1.3--> Dtls13Session   behind a pointer, so that one of 1.2 takes no more room for it
//
// A call goes to the session that is there, whole: a batch stays a batch.
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
#include "session/sealed_session.h"

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
  // Of DTLS 1.3.
  Session(Role role, std::shared_ptr<const dtls13::Settings> settings, const DtlsOptions& options)
      : session_(std::make_unique<dtls13::Dtls13Session>(role, std::move(settings), options)) {}

  // What an open session needs that came from elsewhere.
  struct Home {
    const DtlsOptions& options;
    std::shared_ptr<const dtls13::Settings> dtls13;  // null: no DTLS 1.3
    CipherContexts* ciphers;
    Milliseconds now;
  };
  // Of either version, open from the beginning; judge() has found no fault.
  Session(PortableSession from, Home home) : session_(revived(std::move(from), std::move(home))) {}
  // Opens a sealed session for an endpoint that speaks these versions; see SessionSeal::unseal().
  static SessionSeal::Opened unseal(SessionSeal& seal, ByteView sealed, const Context& context,
                                    bool speaks12, const dtls13::Settings* speaks13,
                                    ByteView bound_to = {});

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

  // ---- to go on elsewhere

  bool portable() const {
    return with([](const auto& session) { return session.portable(); });
  }
  // Only where portable().
  Opened describe() const {
    return with([](const auto& session) { return session.describe(); });
  }
  size_t maxMessage(size_t mtu) const {
    return with([&](const auto& session) { return session.maxMessage(mtu); });
  }
  void reserve(bool from_row, size_t mtu, Milliseconds now) {
    with([&](auto& session) { session.reserve(from_row, mtu, now); });
  }
  std::variant<OpenState, OpenState13> row(Milliseconds now) {
    if (older()) return older()->row(now);
    return newer().row(now);
  }
  std::variant<OpenState, OpenState13> takeState(Milliseconds now) {
    if (older()) return *older()->takeState();
    return *newer().takeState(now);
  }

  bool rowDue(Milliseconds now) {
    return with([&](auto& session) { return session.rowDue(now); });
  }
  bool rowAwaited() const {
    return with([](const auto& session) { return session.rowAwaited(); });
  }
  Milliseconds rowDeadline() const {
    return with([](const auto& session) { return session.rowDeadline(); });
  }
  void rowOutdated() {
    with([](auto& session) { session.rowOutdated(); });
  }
  void rowWritten(Milliseconds now, SessionSink& sink) {
    with([&](auto& session) { session.rowWritten(now, sink); });
  }
  // Ever, in this process.
  bool heardMessage() const {
    return with([](const auto& session) { return session.heardMessage(); });
  }

 private:
  static std::variant<DtlsSession, Newer> revived(PortableSession from, Home home);

  std::variant<DtlsSession, Newer> session_;
};

}  // namespace mcbn
