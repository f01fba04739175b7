// udp_echo.c: UDP without any cryptography.
//
//   udp_echo serve <mmsg|single>         prints port, echoes until it is ended
//   udp_echo ping <port> <seconds>       64 B there and back, one at a time; started, result: median in us
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common.h"

static void serve_batches(int fd) {
  static struct mmsghdr messages[MMSG_BATCH];
  static struct iovec parts[MMSG_BATCH];
  static struct sockaddr_in peers[MMSG_BATCH];
  static uint8_t slots[MMSG_BATCH][MMSG_SLOT];
  for (;;) {
    for (int i = 0; i < MMSG_BATCH; i++) {
      parts[i] = (struct iovec){slots[i], MMSG_SLOT};
      messages[i].msg_hdr = (struct msghdr){.msg_name = &peers[i],
                                            .msg_namelen = sizeof peers[i],
                                            .msg_iov = &parts[i],
                                            .msg_iovlen = 1};
    }
    const int count = recvmmsg(fd, messages, MMSG_BATCH, MSG_WAITFORONE, NULL);
    if (count <= 0) continue;
    for (int i = 0; i < count; i++) parts[i].iov_len = messages[i].msg_len;
    for (int sent = 0; sent < count;) {
      const int more = sendmmsg(fd, messages + sent, (unsigned)(count - sent), 0);
      sent += more > 0 ? more : 1;
    }
  }
}

static void serve_singly(int fd) {
  uint8_t datagram[MMSG_SLOT];
  for (;;) {
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    const ssize_t bytes =
        recvfrom(fd, datagram, sizeof datagram, 0, (struct sockaddr*)&peer, &length);
    if (bytes >= 0) sendto(fd, datagram, (size_t)bytes, 0, (struct sockaddr*)&peer, length);
  }
}

static int ascending(const void* left, const void* right) {
  const double a = *(const double*)left, b = *(const double*)right;
  return (a > b) - (a < b);
}

static void ping(int port, double seconds) {
  enum { MOST = 1000000 };
  double* times = malloc(MOST * sizeof *times);
  if (!times) die("malloc");
  const int fd = udp_socket(NULL);
  udp_connect(fd, port);
  const struct timeval wait = {.tv_usec = 200000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  uint8_t datagram[64];
  memset(datagram, 'm', sizeof datagram);
  size_t count = 0;
  const double warm = seconds_now() + WARM_UP_SECONDS, end = warm + seconds;
  int started = 0;
  for (double before = seconds_now(); before < end && count < MOST;) {
    if (!started && before >= warm) {
      started = 1;
      say("started", 0);
    }
    if (send(fd, datagram, sizeof datagram, 0) < 0) die("send");
    const ssize_t bytes = recv(fd, datagram, sizeof datagram, 0);
    const double after = seconds_now();
    if (bytes == sizeof datagram && before >= warm) times[count++] = (after - before) * 1e6;
    before = after;
  }
  if (count == 0) die("no echo");
  qsort(times, count, sizeof *times, ascending);
  say("result", times[count / 2]);
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  alarm(2 * LIFETIME_SECONDS);
  if (strcmp(argv[1], "ping") == 0) {
    if (argc < 4) return 2;
    ping(atoi(argv[2]), atof(argv[3]));
    return 0;
  }
  int port;
  const int fd = udp_socket(&port);
  say("port", port);
  if (strcmp(argv[2], "mmsg") == 0)
    serve_batches(fd);
  else
    serve_singly(fd);
}
