// Connection IDs that name a node: strangers' IDs first, then the draft's examples byte for byte.
#include "record/node_id.h"

#include <doctest/doctest.h>

#include <set>

#include "wire.h"

using namespace mcbn;
using wire::fromHex;
using wire::joined;

namespace {

const Bytes kDraftKey = fromHex("8f95f09245765f80256934e50c66207f");

Bytes random(std::mt19937& from, size_t length) {
  Bytes bytes(length);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(from());
  return bytes;
}

Bytes encrypted(const Bytes& key, Bytes block) {
  REQUIRE(NodeIdCipher(key).encrypt(block));
  return block;
}

Bytes decrypted(const Bytes& key, Bytes block) {
  REQUIRE(NodeIdCipher(key).decrypt(block));
  return block;
}

}  // namespace

TEST_CASE("node ID: of an ID of another length or form nothing is said") {
  for (const Bytes& key : {Bytes(), kDraftKey}) {
    NodeIds ids({.length = 8, .node_bytes = 1, .rotation = 2}, key);
    CHECK_FALSE(ids.nodeOf({}));
    CHECK_FALSE(ids.nodeOf(Bytes(7, 0x40)));
    CHECK_FALSE(ids.nodeOf(Bytes(9, 0x40)));
    CHECK(ids.nodeOf(Bytes(8, 0x40)));
    for (const uint8_t first : {0x00, 0x20, 0x60, 0xe0, 0xff}) {
      Bytes id(8, 0);
      id[0] = first;
      CHECK_FALSE(ids.nodeOf(id));
    }
  }
}

TEST_CASE("node ID: random IDs name a node as seldom as node IDs are sparse") {
  std::mt19937 from(7);
  NodeIds ids({.length = 10, .node_bytes = 2, .rotation = 0}, kDraftKey);
  size_t hits = 0;
  for (int i = 0; i < 100'000; ++i) {
    Bytes id = random(from, 10);
    id[0] &= NodeIdForm::kThreadMask;
    hits += ids.nodeOf(id).value() < 4;
  }
  CHECK(hits < 30);  // 6 of them are expected
}

TEST_CASE("node ID: an altered byte of an encrypted ID leaves no node to choose") {
  std::mt19937 from(11);
  NodeIds ids({.length = 9, .node_bytes = 1, .rotation = 0}, kDraftKey);
  std::set<uint32_t> reached;
  Bytes id = random(from, 9);
  REQUIRE(ids.make(id, 3, std::nullopt));
  for (size_t at = 1; at < id.size(); ++at) {
    for (unsigned flip = 1; flip < 256; ++flip) {
      Bytes other = id;
      other[at] ^= static_cast<uint8_t>(flip);
      reached.insert(ids.nodeOf(other).value());
    }
  }
  CHECK(reached.size() > 200);
}

TEST_CASE("node ID: the draft's example of four passes (section 5.4.2.4)") {
  const Bytes key = fromHex("fdf726a9893ec05c0632d3956680baf0");
  CHECK(encrypted(key, fromHex("31441a9c69c275")) == fromHex("67947d29be054a"));
  CHECK(decrypted(key, fromHex("67947d29be054a")) == fromHex("31441a9c69c275"));
}

TEST_CASE("node ID: the draft's test vectors (appendix B.2)") {
  struct Vector {
    const char *server_id, *nonce, *cid;
  };
  for (const Vector& vector : {
           Vector{"ed793a", "ee080dbf", "0720b1d07b359d3c"},
           Vector{"ed793a51d49b8f5fab65", "ee080dbf48", "2fcc381bc74cb4fbad2823a3d1f8fed2"},
           Vector{"ed793a51d49b8f5f", "ee080dbf48c0d1e5", "504dd2d05a7b0de9b2b9907afb5ecf8cc3"},
           Vector{"ed793a51d49b8f5fab", "ee080dbf48c0d1e55d",
                  "125779c9cc86beb3a3a4a3ca96fce4bfe0cdbc"},
       }) {
    CAPTURE(vector.cid);
    const Bytes plain = joined({fromHex(vector.server_id), fromHex(vector.nonce)});
    const Bytes cid = fromHex(vector.cid);
    const Bytes block(cid.begin() + 1, cid.end());
    CHECK(encrypted(kDraftKey, plain) == block);
    CHECK(decrypted(kDraftKey, block) == plain);
  }
}

TEST_CASE("node ID: in the clear it lies behind the first octet (appendix B.1)") {
  NodeIds ids({.length = 8, .node_bytes = 3, .rotation = 0}, {});
  CHECK(ids.nodeOf(fromHex("07c4605e4504cc4f")) == 0xc4605e);
  Bytes id = fromHex("ffffffff4504cc4f");
  REQUIRE(ids.make(id, 0xc4605e, uint8_t{7}));
  CHECK(id == fromHex("07c4605e4504cc4f"));
}

TEST_CASE("node ID: every length, node and thread comes back, and no ID twice") {
  std::mt19937 from(3);
  for (const Bytes& key : {Bytes(), kDraftKey}) {
    for (size_t node_bytes = 1; node_bytes <= NodeIdForm::kMostNodeBytes; ++node_bytes) {
      for (size_t length = 1 + node_bytes + NodeIdForm::kLeastNonce; length <= NodeIdForm::kLongest;
           ++length) {
        NodeIds ids({.length = length, .node_bytes = node_bytes, .rotation = 6}, key);
        std::set<Bytes> seen;
        for (int i = 0; i < 50; ++i) {
          const auto node = static_cast<uint32_t>(from() >> (32 - 8 * node_bytes));
          Bytes id = random(from, length);
          const Bytes before = id;
          const bool steered = i % 2 == 0;
          const auto thread = static_cast<uint8_t>(i % 32);
          REQUIRE(ids.make(id, node, steered ? std::optional(thread) : std::nullopt));
          CHECK((id[0] >> 5) == 6);
          CHECK((id[0] & 0x1f) == (steered ? thread : before[0] & 0x1f));
          CHECK(ids.nodeOf(id) == node);
          CHECK(seen.insert(id).second);
        }
      }
    }
  }
}

TEST_CASE("node ID: nonces of encrypted IDs are counted, and wrap") {
  NodeIds ids({.length = 6, .node_bytes = 1, .rotation = 0}, kDraftKey);
  std::set<Bytes> seen;
  for (int i = 0; i < 1'000; ++i) {
    Bytes id(6, 0xff);  // what is random only counts the first time
    REQUIRE(ids.make(id, 1, uint8_t{0}));
    CHECK(seen.insert(id).second);
    CHECK(ids.nodeOf(id) == 1);
  }
}
