#include "binding/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace mcbn {
namespace {

// Linux: an open file description lock (fcntl(2)), which network file systems keep too. Else flock(2), whose
// owner is the open file as well.
int tryLock(int fd) {
#ifdef F_OFD_SETLK
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  return fcntl(fd, F_OFD_SETLK, &whole);
#else
  return flock(fd, LOCK_EX | LOCK_NB);
#endif
}

int unlock(int fd) {
#ifdef F_OFD_SETLK
  struct flock whole {};
  whole.l_type = F_UNLCK;
  whole.l_whence = SEEK_SET;
  return fcntl(fd, F_OFD_SETLK, &whole);
#else
  return flock(fd, LOCK_UN);
#endif
}

}  // namespace

Napi::Value unlockFile(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (info.Length() != 1 || !info[0].IsNumber()) {
    Napi::TypeError::New(env, "mcbn addon: unlockFile: expected a file descriptor")
        .ThrowAsJavaScriptException();
    return env.Undefined();
  }
  return Napi::Boolean::New(env, unlock(info[0].As<Napi::Number>().Int32Value()) == 0);
}

Napi::Value tryLockFile(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (info.Length() != 1 || !info[0].IsNumber()) {
    Napi::TypeError::New(env, "mcbn addon: tryLockFile: expected a file descriptor")
        .ThrowAsJavaScriptException();
    return env.Undefined();
  }
  if (tryLock(info[0].As<Napi::Number>().Int32Value()) == 0) return Napi::Boolean::New(env, true);
  const int error = errno;
  if (error == EAGAIN || error == EACCES || error == EWOULDBLOCK) {
    return Napi::Boolean::New(env, false);
  }
  Napi::Error::New(env, std::string("mcbn addon: tryLockFile: ") + std::strerror(error))
      .ThrowAsJavaScriptException();
  return env.Undefined();
}

}  // namespace mcbn
