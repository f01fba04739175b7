#include "session/memory_bio.h"

#include <algorithm>
#include <cstring>

namespace mcbn {
namespace {

MemoryPipe* pipeOf(BIO* bio) { return static_cast<MemoryPipe*>(BIO_get_data(bio)); }

int onRead(BIO* bio, char* out, size_t capacity, size_t* length) {
  BIO_clear_retry_flags(bio);
  MemoryPipe* pipe = pipeOf(bio);
  const size_t count = std::min(capacity, pipe->inbound.size());
  if (count == 0) {
    BIO_set_retry_read(bio);
    return 0;
  }
  std::memcpy(out, pipe->inbound.data(), count);
  pipe->inbound = pipe->inbound.subspan(count);
  *length = count;
  return 1;
}

int onWrite(BIO* bio, const char* bytes, size_t count, size_t* length) {
  BIO_clear_retry_flags(bio);
  MemoryPipe* pipe = pipeOf(bio);
  *length = count;
  const auto* from = reinterpret_cast<const uint8_t*>(bytes);
  // Order is kept: once something has overflowed, everything after it follows there.
  if (pipe->overflow.empty() && count <= pipe->outbound.size()) {
    std::memcpy(pipe->outbound.data(), from, count);
    pipe->outbound = pipe->outbound.subspan(count);
  } else {
    pipe->overflow.insert(pipe->overflow.end(), from, from + count);
  }
  return 1;
}

long onControl(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

class Method {
 public:
  Method() : method_(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "mcbn memory")) {
    if (!method_) return;
    BIO_meth_set_read_ex(method_, onRead);
    BIO_meth_set_write_ex(method_, onWrite);
    BIO_meth_set_ctrl(method_, onControl);
  }
  ~Method() { BIO_meth_free(method_); }
  Method(const Method&) = delete;
  Method& operator=(const Method&) = delete;
  const BIO_METHOD* get() const { return method_; }

 private:
  BIO_METHOD* method_;
};

}  // namespace

BIO* MemoryPipe::newBio() {
  static const Method method;  // one for all environments: it holds no state
  if (!method.get()) return nullptr;
  BIO* bio = BIO_new(method.get());
  if (!bio) return nullptr;
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  return bio;
}

}  // namespace mcbn
