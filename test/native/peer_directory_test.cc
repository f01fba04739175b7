// Which session a server's datagram belongs to: no socket, no handshake.
#include "engine/peer_directory.h"

#include <doctest/doctest.h>

#include <memory>

using namespace mcbn;

namespace {

Address at(uint16_t port) { return *Address::parse("192.0.2.1", port); }

// Associations that never shake hands.
class Peers {
 public:
  Association& newAt(uint16_t port) {
    all_.push_back(std::make_unique<Association>(static_cast<uint32_t>(all_.size() + 1), at(port),
                                                 context_, DtlsOptions(), ciphers_));
    return *all_.back();
  }

 private:
  static std::shared_ptr<const Context> contextOf() {
    ContextOptions options;
    options.role = Role::Server;
    options.transport = Transport::Dtls;
    return std::get<std::shared_ptr<const Context>>(Context::create(std::move(options)));
  }

  CipherContexts ciphers_{16};
  std::shared_ptr<const Context> context_ = contextOf();
  std::vector<std::unique_ptr<Association>> all_;
};

Association& opened(PeerDirectory& directory, Association& association) {
  directory.enter(association);
  directory.finish(association);
  association.opened = true;
  return association;
}

}  // namespace

TEST_CASE("peer directory: nobody is at an address until somebody enters, nor after he has left") {
  PeerDirectory directory(8, std::nullopt);
  Peers peers;
  CHECK(directory.at(at(1)) == nullptr);
  Association& one = peers.newAt(1);
  CHECK(directory.enter(one) == nullptr);
  REQUIRE(directory.at(at(1)) != nullptr);
  CHECK(directory.at(at(1))->current == &one);
  CHECK(directory.at(at(2)) == nullptr);
  directory.leave(one);
  CHECK(directory.at(at(1)) == nullptr);
}

// A stranger's datagram has this done for its address too, before its session is known.
TEST_CASE("peer directory: expecting datagrams from an address changes nobody there") {
  PeerDirectory directory(8, std::nullopt);
  Peers peers;
  directory.expect(at(1));
  CHECK(directory.at(at(1)) == nullptr);
  Association &one = peers.newAt(1), &other = peers.newAt(2);
  directory.enter(one);
  directory.enter(other);
  for (const uint16_t port : {2, 3, 1, 0}) directory.expect(at(port));
  CHECK(directory.at(at(1))->current == &one);
  CHECK(directory.at(at(1))->candidate == nullptr);
  directory.expect(at(1));
  CHECK(directory.at(at(2))->current == &other);
  directory.leave(one);
  directory.expect(at(1));
  CHECK(directory.at(at(1)) == nullptr);
}

TEST_CASE("peer directory: another handshake takes the place of an unfinished one") {
  PeerDirectory directory(8, std::nullopt);
  Peers peers;
  Association &first = peers.newAt(1), &second = peers.newAt(1);
  directory.enter(first);
  CHECK(directory.enter(second) == &first);
  CHECK(directory.at(at(1))->current == &second);
  directory.leave(first);  // it has no place any more
  CHECK(directory.at(at(1))->current == &second);
}

TEST_CASE("peer directory: an open session keeps its place until the new one is finished (4.2.8)") {
  PeerDirectory directory(8, std::nullopt);
  Peers peers;
  Association& old = opened(directory, peers.newAt(1));
  Association &half = peers.newAt(1), &fresh = peers.newAt(1);
  CHECK(directory.enter(half) == nullptr);
  CHECK(directory.enter(fresh) == &half);
  CHECK(directory.at(at(1))->current == &old);
  CHECK(directory.at(at(1))->candidate == &fresh);
  CHECK(directory.finish(fresh) == &old);
  fresh.opened = true;
  directory.leave(old);
  CHECK(directory.at(at(1))->current == &fresh);
  CHECK(directory.at(at(1))->candidate == nullptr);
}

TEST_CASE("peer directory: a candidate inherits the place of a session that ends") {
  PeerDirectory directory(8, std::nullopt);
  Peers peers;
  Association& old = opened(directory, peers.newAt(1));
  Association& fresh = peers.newAt(1);
  directory.enter(fresh);
  directory.leave(old);
  CHECK(directory.at(at(1))->current == &fresh);
}

TEST_CASE("peer directory: an ID leads to its session from wherever, until it is taken back") {
  PeerDirectory directory(8, uint8_t{3});
  Peers peers;
  Association& one = opened(directory, peers.newAt(1));
  REQUIRE(directory.giveId(one));
  const Bytes id = one.connection_id;
  CHECK(id.size() == 8);
  CHECK(id[0] == 3);  // its thread
  CHECK(directory.byId(id) == &one);
  CHECK(directory.byId(Bytes(8, 0xee)) == nullptr);
  directory.takeId(one);
  CHECK(directory.byId(id) == nullptr);
}

TEST_CASE("peer directory: a peer that moves takes a place that its owner can be found without") {
  PeerDirectory directory(8, std::nullopt);
  Peers peers;
  Association& mover = opened(directory, peers.newAt(1));
  REQUIRE(directory.giveId(mover));
  // To a free address, and away from the old one.
  directory.move(mover, at(2));
  CHECK(directory.at(at(1)) == nullptr);
  CHECK(directory.at(at(2))->current == &mover);
  // To one whose session has an ID: that one has left it.
  Association& gone = opened(directory, peers.newAt(3));
  REQUIRE(directory.giveId(gone));
  directory.move(mover, at(3));
  CHECK(directory.at(at(3))->current == &mover);
  // Not to one that can be found by its address only, nor to a handshake's.
  Association& plain = opened(directory, peers.newAt(4));
  directory.move(mover, at(4));
  CHECK(directory.at(at(4))->current == &plain);
  CHECK(directory.byId(mover.connection_id) == &mover);
  Association& shaking = peers.newAt(5);
  directory.enter(shaking);
  directory.move(mover, at(5));
  CHECK(directory.at(at(5))->current == &shaking);
  directory.leave(mover);
  CHECK(directory.at(at(5))->current == &shaking);
}

TEST_CASE("peer directory: addresses of one peer, mapped and not, are one address") {
  const Address plain = at(7), mapped = *Address::parse("::ffff:192.0.2.1", 7);
  CHECK(mapped.unmapped() == plain);
  CHECK(plain.unmapped() == plain);
  CHECK(*plain.forFamily(AF_INET6) == mapped);
  CHECK(*mapped.forFamily(AF_INET) == plain);
  const Address six = *Address::parse("2001:db8::1", 7);
  CHECK_FALSE(six.forFamily(AF_INET));
  for (const Address& address : {plain, mapped, six}) {
    const AddressBytes bytes = address.bytes();
    CHECK(*Address::fromBytes(bytes.view()) == address);
    CHECK_FALSE(Address::fromBytes(bytes.view().first(bytes.view().size() - 1)));
  }
  CHECK_FALSE(Address::fromBytes({}));
  CHECK_FALSE(Address::fromBytes(Bytes(7, 5)));
}

TEST_CASE(
    "peer directory: IDs that name a node have the thread in five bits, and only those are taken") {
  const NodeIdForm form{.length = 8, .node_bytes = 2, .rotation = 5};
  NodeIds nodes(form, Bytes(16, 1));
  PeerDirectory directory(8, uint8_t{3}, &nodes, 0x0102);
  Peers peers;
  Association& one = peers.newAt(1);
  REQUIRE(directory.giveId(one));
  CHECK(one.connection_id[0] == (5 << 5 | 3));
  CHECK(nodes.nodeOf(one.connection_id) == 0x0102);
  CHECK(directory.byId(one.connection_id) == &one);
  ConnectionIdTable other(8, uint8_t{2}, &nodes, 0x0102);
  Association& two = peers.newAt(2);
  CHECK_FALSE(other.adopt(two, one.connection_id));
  ConnectionIdTable same(8, uint8_t{3}, &nodes, 0x0103);
  CHECK(same.adopt(two, one.connection_id));
}
