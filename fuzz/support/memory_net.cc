#include "memory_net.h"

#include <algorithm>
#include <cerrno>

#include "datagram/poller.h"

namespace mcbn {
namespace memory {

Net& net() {
  static Net net;
  return net;
}

bool Net::deliver(const Packet& packet) {
  for (auto& [fd, socket] : sockets_) {
    if (!(socket.local == packet.to)) continue;
    if (socket.peer && !(socket.peer == packet.from)) return false;
    socket.inbox.push_back(packet);
    return true;
  }
  return false;
}

void Net::clear() {
  sockets_.clear();
  sent.clear();
  last_fd_ = 1'000;
  refusal = 0;
  refusals = 0;
}

}  // namespace memory

using memory::net;
using memory::Net;

// ---- UdpSocket ---------------------------------------------------------------------------------

UdpSocket::~UdpSocket() { close(); }

SystemError UdpSocket::open(const Address& bind, const UdpOptions&) {
  fd_ = ++net().last_fd_;
  const std::string host = bind.host();
  const bool any = host == "0.0.0.0" || host == "::";
  const auto port = bind.port() != 0 ? bind.port() : static_cast<uint16_t>(40'000 + fd_);
  net().sockets_[fd_].local = *Address::parse(any ? "127.0.0.1" : host, port);
  return {};
}

SystemError UdpSocket::connect(const Address& peer) {
  peer_ = peer;
  net().sockets_[fd_].peer = peer;
  return {};
}

SystemError UdpSocket::beginGroup() { return {ENOTSUP, "setsockopt"}; }
SystemError UdpSocket::steerGroup(std::span<const SteeredForm>, uint8_t) {
  return {ENOTSUP, "setsockopt"};
}

void UdpSocket::close() {
  if (fd_ >= 0) net().sockets_.erase(fd_);
  fd_ = -1;
  peer_ = Address();
}

Address UdpSocket::localAddress() const { return isOpen() ? net().sockets_[fd_].local : Address(); }
int UdpSocket::recvBufferSize() const { return 0; }
int UdpSocket::sendBufferSize() const { return 0; }

ReceiveResult UdpSocket::receiveBatch() {
  Net::Socket& socket = net().sockets_[fd_];
  socket.batch.clear();
  socket.memory.clear();
  while (!socket.inbox.empty() && socket.batch.size() < 64) {
    const memory::Packet packet = std::move(socket.inbox.front());
    socket.inbox.pop_front();
    uint8_t* const bytes = socket.memory.emplace_back(new uint8_t[packet.bytes.size()]).get();
    std::copy(packet.bytes.begin(), packet.bytes.end(), bytes);
    socket.batch.push_back({packet.from, MutableBytes(bytes, packet.bytes.size()), false});
  }
  if (socket.batch.empty()) return {.status = IoStatus::Again};
  return {.datagrams = socket.batch, .more = !socket.inbox.empty()};
}

SendResult UdpSocket::sendBatch(std::span<const OutgoingDatagram> datagrams) {
  SendResult result;
  for (const OutgoingDatagram& each : datagrams) {
    if (net().refusals > 0) {
      net().refusals -= 1;
      result.status = net().refusal == EAGAIN ? IoStatus::Again : IoStatus::Error;
      if (result.status == IoStatus::Error) result.error = {net().refusal, "sendmsg"};
      return result;
    }
    net().sent.push_back({net().sockets_[fd_].local, each.to ? *each.to : peer_,
                          Bytes(each.datagram.begin(), each.datagram.end())});
    result.sent += 1;
  }
  return result;
}

// ---- Poller: the driver knows what there is -------------------------------------------------

struct Poller::State {};
void Poller::StateDeleter::operator()(State* state) const { delete state; }
Poller::Poller() = default;
Poller::~Poller() = default;
SystemError Poller::add(int, uint64_t) { return {}; }
SystemError Poller::setWritable(int, bool) { return {}; }
SystemError Poller::remove(int) { return {}; }

}  // namespace mcbn
