#include "loopback.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

const char kIdentity[6] = "bench";
const uint8_t kKey[16] = {0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
                          0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f};

double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double cpu_seconds(void) {
  struct timespec spent;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
  return (double)spent.tv_sec + (double)spent.tv_nsec / 1e9;
}

void say(const char* name, double value) {
  printf("%s %.9g\n", name, value);
  fflush(stdout);
}

struct sockaddr_in loopback(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int udp_socket_at(struct sockaddr_in address) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  const int bytes = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  if (bind(fd, (struct sockaddr*)&address, sizeof address) == 0) return fd;
  if (errno != EADDRINUSE) die("bind");
  close(fd);
  return -1;
}

int udp_socket(int* port) {
  struct sockaddr_in address = loopback(0);
  const int fd = udp_socket_at(address);
  if (fd < 0) die("bind");
  if (port) {
    socklen_t length = sizeof address;
    if (getsockname(fd, (struct sockaddr*)&address, &length) < 0) die("getsockname");
    *port = ntohs(address.sin_port);
  }
  return fd;
}

void udp_connect(int fd, int port) {
  const struct sockaddr_in address = loopback(port);
  if (connect(fd, (const struct sockaddr*)&address, sizeof address) < 0) die("connect");
}

int count_message(double seconds) {
  static double started = 0, warm = 0, cpu = 0;
  static uint64_t count = 0, counted_from = 0;
  if (count++ % 64 != 0) return 0;
  const double now = seconds_now();
  if (warm == 0) warm = now + WARM_UP_SECONDS;
  if (started == 0 && now >= warm) {
    started = now;
    counted_from = count;
    cpu = cpu_seconds();
    say("started", 0);
  }
  if (started == 0 || now < started + seconds) return 0;
  say("cost", (cpu_seconds() - cpu) * 1e6 / (double)(count - counted_from));
  say("result", (double)(count - counted_from) / (now - started));
  return 1;
}
