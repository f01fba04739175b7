// system_error.h: a failed system call, as a value.
#pragma once

#include <string>

namespace mcbn {

struct SystemError {
  int code = 0;           // errno; 0: no error
  const char* call = "";  // "bind", "recvmmsg"

  explicit operator bool() const { return code != 0; }
  // "bind EADDRINUSE", as Node names system errors; `code` alone where the name is not known.
  std::string text() const;
  // "EADDRINUSE", or "errno 98" where the name is not known.
  std::string name() const;
};

}  // namespace mcbn
