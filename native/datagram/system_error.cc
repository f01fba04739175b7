#include "datagram/system_error.h"

#include <cerrno>

namespace mcbn {
namespace {

struct Name {
  int code;
  const char* text;
};

// What UDP sockets and pollers return, by the names that Node gives them.
constexpr Name kNames[] = {
    {EACCES, "EACCES"},
    {EADDRINUSE, "EADDRINUSE"},
    {EADDRNOTAVAIL, "EADDRNOTAVAIL"},
    {EAFNOSUPPORT, "EAFNOSUPPORT"},
    {EAGAIN, "EAGAIN"},
    {EBADF, "EBADF"},
    {ECONNREFUSED, "ECONNREFUSED"},
    {EDESTADDRREQ, "EDESTADDRREQ"},
    {EEXIST, "EEXIST"},
    {EHOSTUNREACH, "EHOSTUNREACH"},
    {EINVAL, "EINVAL"},
    {EISCONN, "EISCONN"},
    {EMFILE, "EMFILE"},
    {EMSGSIZE, "EMSGSIZE"},
    {ENETDOWN, "ENETDOWN"},
    {ENETUNREACH, "ENETUNREACH"},
    {ENFILE, "ENFILE"},
    {ENOBUFS, "ENOBUFS"},
    {ENOENT, "ENOENT"},
    {ENOMEM, "ENOMEM"},
    {ENOPROTOOPT, "ENOPROTOOPT"},
    {ENOTCONN, "ENOTCONN"},
    {EPERM, "EPERM"},
};

}  // namespace

std::string SystemError::name() const {
  for (const Name& known : kNames) {
    if (known.code == code) return known.text;
  }
  return "errno " + std::to_string(code);
}

std::string SystemError::text() const { return std::string(call) + ' ' + name(); }

}  // namespace mcbn
