// opened.h: what a session tells about itself once it is open.
#pragma once

#include <string>
#include <string_view>

#include "psk/psk.h"

namespace mcbn {

struct Opened {
  Protocol protocol = Protocol::Unknown;
  std::string_view cipher;           // OpenSSL's name; both live as long as OpenSSL
  std::string_view standard_cipher;  // the RFC's name
  std::string alpn;
  std::string servername;
  Identity identity;
  bool extended_master_secret = false;
};

}  // namespace mcbn
