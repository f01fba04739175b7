#include "engine/session.h"

namespace mcbn {

std::variant<DtlsSession, Session::Newer> Session::revived(PortableSession from, Home home) {
  using Either = std::variant<DtlsSession, Newer>;
  if (OpenState13* const state = from.of13()) {
    MCBN_ASSERT(home.dtls13);
    return Either(std::in_place_type<Newer>,
                  std::make_unique<dtls13::Dtls13Session>(*state, std::move(home.dtls13),
                                                          home.options, home.now));
  }
  OpenState& state = *from.of12();
  state.replay_window = home.options.replay_window;
  state.forgery_limit = home.options.forgery_limit;
  return Either(std::in_place_type<DtlsSession>, std::move(state), home.ciphers);
}

SessionSeal::Opened Session::unseal(SessionSeal& seal, ByteView sealed, const Context& context,
                                    bool speaks12, const dtls13::Settings* speaks13,
                                    ByteView bound_to) {
  auto opened = seal.unseal(sealed, context, bound_to);
  const bool authentic = opened.session || opened.fault == SealFault::Suite;
  if (!authentic) return opened;
  const bool newer = opened.session && opened.session->of13();
  if (newer ? !speaks13 : !speaks12) return {SealFault::Protocol, {}};
  if (!newer) return opened;
  const SealFault fault = dtls13::Dtls13Session::faultOf(*opened.session->of13(), *speaks13);
  if (fault != SealFault::None) return {fault, {}};
  return opened;
}

}  // namespace mcbn
