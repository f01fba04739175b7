// failure.h: why a session ended, as a value. It becomes an McbnError in JavaScript.
#pragma once

#include <string>

#include "record/alert.h"

namespace mcbn {

constexpr int kNoAlert = -1;

struct Failure {
  const char* code = "MCBN_INTERNAL";  // a code of src/errors.ts
  std::string message = {};            // what happened and what to do; never key bytes
  std::string reason = {};             // OpenSSL's own words, for `cause`; may be empty
  int alert = kNoAlert;                // the alert that was sent or received
};

// "decrypt_error", or "alert 51" where OpenSSL has no name for it.
std::string alertName(int alert);
// Identities are public but come from strangers: printable ASCII as it is, the rest escaped, cut
// at 64.
std::string quoted(const std::string& identity);

// Takes the oldest error that libssl put into this thread's OpenSSL queue, or else the oldest of
// all, and empties the queue: an AES-GCM record made with another key is "cipher operation failed"
// to libcrypto, and only above that the SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC that says what it
// means. node:crypto shares the queue: every entry into OpenSSL starts with ERR_clear_error().
struct OpensslError {
  unsigned long code = 0;
  int reason = 0;    // SSL_R_...; 0 when libssl did not report it
  std::string text;  // empty without an entry

  // For a message, which must not end in the middle.
  std::string words() const { return text.empty() ? "OpenSSL gives no reason" : text; }
};
OpensslError takeOpensslError();
// Empties the queue; nearly free when it is empty, as before and behind every record it should be.
void clearOpensslErrors();

}  // namespace mcbn
