#include "session/failure.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstdio>

namespace mcbn {

std::string alertName(int alert) {
  if (alert == alert::kNoApplicationProtocol) return "no_application_protocol";
  if (alert == alert::kMissingExtension) return "missing_extension";
  if (alert == alert::kInappropriateFallback) return "inappropriate_fallback";
  std::string name = SSL_alert_desc_string_long(alert);
  if (name.empty() || name == "unknown") return "alert " + std::to_string(alert);
  std::replace(name.begin(), name.end(), ' ', '_');
  return name == "unknown_PSK_identity" ? "unknown_psk_identity" : name;
}

std::string quoted(const std::string& identity) {
  constexpr size_t kShown = 64;
  std::string text = "\"";
  for (const char c : identity.substr(0, kShown)) {
    if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
      text += c;
    } else {
      char escape[5];
      std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned char>(c));
      text += escape;
    }
  }
  if (identity.size() > kShown) text += "...";
  return text + '"';
}

OpensslError takeOpensslError() {
  OpensslError error;
  bool from_ssl = false;
  while (const unsigned long code = ERR_get_error()) {
    const bool is_ssl = ERR_GET_LIB(code) == ERR_LIB_SSL;
    if (error.code != 0 && (from_ssl || !is_ssl)) continue;
    error.code = code;
    from_ssl = is_ssl;
  }
  if (error.code == 0) return error;
  error.reason = from_ssl ? ERR_GET_REASON(error.code) : 0;
  const char* reason = ERR_reason_error_string(error.code);
  error.text = reason ? reason : "error " + std::to_string(error.code);
  return error;
}

void clearOpensslErrors() {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

}  // namespace mcbn
