// Linux: sockets bound to one address by SO_REUSEPORT form a group, and the kernel gives each
// datagram to one of them, by a keyed hash of both addresses and ports. A classic BPF program may
// decide instead (kernel 4.5): it sees the UDP payload from offset 0, and its result is an index in
// the order in which the sockets joined; one that no socket has means "by the hash"
// (net/core/sock_reuseport.c).
#if defined(__linux__) && !defined(MCBN_PORTABLE)

#include <linux/filter.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/assert.h"
#include "datagram/udp_socket.h"

// Older C libraries do not name it; the kernel's number is fixed on what Node runs on.
#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51
#endif

namespace mcbn {

SystemError UdpSocket::beginGroup() {
  if (!isOpen()) return {EBADF, "setsockopt"};
  const int on = 1;
  const bool done = setsockopt(fd_, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0;
  return done ? SystemError() : SystemError{errno, "setsockopt"};
}

SystemError UdpSocket::steerGroup(std::span<const SteeredForm> forms, uint8_t mask) {
  if (!isOpen()) return {EBADF, "setsockopt"};
  MCBN_ASSERT(forms.size() <= kMostForms);
  constexpr uint32_t kByHash = UINT32_MAX;
  constexpr size_t kSteps = 8;
  std::array<sock_filter, kMostForms * kSteps + 1> program{};
  auto* at = program.data();
  for (const SteeredForm& form : forms) {
    // A load behind the end would give 0, the first socket: so the length is asked for first.
    const sock_filter steps[kSteps] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, form.indexAt, 0, 6),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, form.firstMask),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, form.firstByte, 0, 3),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, form.indexAt),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    at = std::ranges::copy(steps, at).out;
  }
  *at++ = BPF_STMT(BPF_RET | BPF_K, kByHash);
  const auto length = static_cast<unsigned short>(at - program.data());
  const sock_fprog filter{length, program.data()};
  const bool done =
      setsockopt(fd_, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &filter, sizeof filter) == 0;
  return done ? SystemError() : SystemError{errno, "setsockopt"};
}

}  // namespace mcbn

#endif
