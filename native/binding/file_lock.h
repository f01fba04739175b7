// file_lock.h: a lock of the kernel's on an open file, which Node itself has no call for.
#pragma once

#include <napi.h>

namespace mcbn {

// tryLockFile(fd): true, or false while somebody else has the file locked; throws for other errors. The lock
// belongs to the open file and not to the process: it ends when the last descriptor of it is closed, however
// the process ends, and holds across PID namespaces.
Napi::Value tryLockFile(const Napi::CallbackInfo& info);
// unlockFile(fd): whether it worked. To close is not enough: a child that another thread is just starting
// has the descriptor too, until it executes its program.
Napi::Value unlockFile(const Napi::CallbackInfo& info);

}  // namespace mcbn
