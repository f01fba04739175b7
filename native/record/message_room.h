// message_room.h: how much room a message has around it when its record is made in place.
#pragma once

#include <cstddef>

namespace mcbn {

// FRAME in src/native/dtls.ts has the same numbers. Before: a record's header, a connection ID of
// eight bytes and an explicit nonce; behind: a tag and a content type.
constexpr size_t kRoomBefore = 32;
constexpr size_t kRoomBehind = 20;

}  // namespace mcbn
