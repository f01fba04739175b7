#include "session/datagram_bio.h"

#include <algorithm>
#include <cstring>

namespace mcbn {
namespace {

Wire* wireOf(BIO* bio) { return static_cast<Wire*>(BIO_get_data(bio)); }

int readDatagram(BIO* bio, char* out, int capacity) {
  BIO_clear_retry_flags(bio);
  Wire* wire = wireOf(bio);
  if (wire->incoming.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  // A datagram longer than OpenSSL's buffer loses its tail, as recv() would.
  const size_t length = std::min(wire->incoming.size(), static_cast<size_t>(capacity));
  std::memcpy(out, wire->incoming.data(), length);
  wire->incoming = {};
  return static_cast<int>(length);
}

int writeDatagram(BIO* bio, const char* bytes, int length) {
  BIO_clear_retry_flags(bio);
  const Wire* wire = wireOf(bio);
  if (wire->outgoing && length > 0) {
    wire->outgoing->datagram(
        {reinterpret_cast<const uint8_t*>(bytes), static_cast<size_t>(length)});
  }
  return length;
}

long control(BIO* bio, int command, long number, void*) {
  switch (command) {
    case BIO_CTRL_FLUSH:
    case BIO_CTRL_DGRAM_SET_NEXT_TIMEOUT:  // deadlines are the session's
    case BIO_CTRL_DUP:
      return 1;
    case BIO_CTRL_DGRAM_QUERY_MTU:
    case BIO_CTRL_DGRAM_GET_MTU:
    case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
      return static_cast<long>(wireOf(bio)->mtu);
    case BIO_CTRL_DGRAM_SET_MTU:
      return number;
    case BIO_CTRL_DGRAM_GET_MTU_OVERHEAD:
      return 0;  // our MTU is UDP payload already
    default:
      return 0;
  }
}

int create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

BIO_METHOD* method() {
  static BIO_METHOD* const made = [] {
    BIO_METHOD* fresh = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "mcbn datagram");
    if (!fresh) return fresh;
    BIO_meth_set_read(fresh, readDatagram);
    BIO_meth_set_write(fresh, writeDatagram);
    BIO_meth_set_ctrl(fresh, control);
    BIO_meth_set_create(fresh, create);
    return fresh;
  }();
  return made;
}

}  // namespace

BIO* newDatagramBio(Wire* wire) {
  BIO* bio = method() ? BIO_new(method()) : nullptr;
  if (bio) BIO_set_data(bio, wire);
  return bio;
}

}  // namespace mcbn
