// dtls_options.h: what an endpoint asks of each of its sessions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/time.h"
#include "record/replay_window.h"

namespace mcbn {

struct DtlsOptions {
  size_t mtu = 1400;                        // bytes of UDP payload
  Milliseconds handshake_timeout = 10'000;  // 0: never
  // First retransmission; 0: 1,000 until a round trip is known, then four round trips but not under
  // 250.
  Milliseconds retransmit_timeout = 0;
  // Records, 32 to 65,536 (RFC 6347 section 4.1.2.6). OpenSSL's record layer always has 64.
  uint32_t replay_window = ReplayWindow::kDefault;
  // Records that are not authentic before an open session ends; 0: any number. Not on OpenSSL's.
  uint64_t forgery_limit = 0;
  bool keylog = false;
  // Bytes of the connection IDs that we want in records to us, 0 for none; nullopt: no connection
  // IDs in either direction (RFC 9146). The endpoint makes them: see useConnectionId().
  std::optional<size_t> connection_id;
  bool openssl_records = false;  // keep every session on OpenSSL's record layer
  std::string servername;
  // A client whose server does not seem to speak DTLS 1.3: says so (RFC 7507 section 4), and refuses a server
  // that does (RFC 8446 section 4.1.3).
  bool falls_back = false;
};

}  // namespace mcbn
