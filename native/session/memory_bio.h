// memory_bio.h: where OpenSSL reads and writes when there is no socket.
//
//   inbound   a borrowed view; OpenSSL's own record buffer is the first copy
//   outbound  a borrowed buffer first, then `overflow`, which grows
//
// BIO_s_mem would copy every byte once more in each direction.
//
// Ownership   the BIO borrows the MemoryPipe: it must outlive the SSL that uses the BIO.
// Thread      the session's.
#pragma once

#include <openssl/bio.h>

#include "base/bytes.h"

namespace mcbn {

struct MemoryPipe {
  ByteView inbound;             // what OpenSSL may read; shrinks as it does
  std::span<uint8_t> outbound;  // where it writes first; shrinks as it does
  Bytes overflow;               // what did not fit there

  // A BIO for both directions; null without memory. It never blocks: an empty inbound asks to
  // retry.
  BIO* newBio();
};

}  // namespace mcbn
