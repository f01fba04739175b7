// slab_layout.h: where the datagrams of one batch lie in a receive slab.
#pragma once

#include <cstddef>

namespace mcbn {

// A UDP datagram carries at most 65507 bytes over IPv4, 65527 over IPv6 without jumbograms.
constexpr size_t kSlotBytes = 65535;
// Not a power of two: slots 64 KB apart would all compete for the same few cache lines, since
// only their first bytes are used when datagrams are small.
constexpr size_t kSlotStride = 65536 + 5 * 64;

constexpr size_t slotOffset(size_t index) { return index * kSlotStride; }
constexpr size_t slabBytes(size_t batch) { return batch * kSlotStride; }

}  // namespace mcbn
