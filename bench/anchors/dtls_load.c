// dtls_load.c: the load that servers are measured with, whichever library they use: many clients, one
// process.
//
//   dtls_load handshakes <suite> <port> <seconds> <at once>     result: full handshakes per second
//   dtls_load echo <suite|plain> <port> <seconds> <sessions>    result: 64 B echoes per second
//   dtls_load hold <suite> <port> <sessions>                    prints held, keeps the ports until
//   ended
//   dtls_load fill <suite> <port> <sessions>                    as hold, for more sessions than there
//   are ports or files: from several addresses, each socket closed without close_notify
//
// The suites are those of client_handshake.h and client_records.h; `plain` is UDP without DTLS, for a server
// without any. Echoes: IN_FLIGHT of the sessions wait for one at any time, the next session taking its turn
// with every echo. A client that has waited for PATIENCE_SECONDS sends again (while it shakes hands: begins
// anew): UDP may lose datagrams. Handshakes and echoes have "cost" before "result", the processor time of this
// process in us for each: where it is no less than a server's, servers are not what is measured.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client_handshake.h"
#include "common.h"

enum { MOST = 16000, IN_FLIGHT = 256, HANDSHAKES_AT_ONCE = 32 };
// Addresses from 127.0.1.1 on, and of each the ports below those that the system gives out.
enum { FIRST_PORT = 10000, PORTS = 20000, MOST_FILLED = 200 * PORTS };
#define PATIENCE_SECONDS 0.2

struct client {
  int fd, open, waiting;
  struct client_handshake* handshake;  // while it lasts
  struct client_records records;
  double since;
};

static struct client clients[MOST];
static SSL_CTX* context;
static int server_port, epoll_fd;
static const uint8_t payload[64] = "sixty-four bytes, as small sensors send them";

// What is lost is begun anew.
static void send_flight(const struct client* client) {
  send(client->fd, client->handshake->flight, client->handshake->flight_length, MSG_DONTWAIT);
}

// A socket that no session had before it: to the server, address and port are the session.
static int unused_socket(void) {
  static int next;
  for (;;) {
    struct sockaddr_in address = loopback(FIRST_PORT + next % PORTS);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 256 + (uint32_t)(next / PORTS));
    next += 1;
    const int fd = udp_socket_at(address);
    if (fd >= 0) return fd;
  }
}

static void start_on(struct client* client, int fd) {
  client->fd = fd;
  udp_connect(client->fd, server_port);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, client->fd, &event) < 0) die("epoll_ctl");
  client->since = seconds_now();
  client->open = client->waiting = 0;
  if (!context) {
    client->open = 1;
    return;
  }
  client->handshake = calloc(1, sizeof *client->handshake);
  if (!client->handshake) die("calloc");
  client_handshake_begin(client->handshake);
  send_flight(client);
}

static void start(struct client* client) { start_on(client, udp_socket(NULL)); }

static void finish(struct client* client) {
  client_handshake_free(client->handshake);
  free(client->handshake);
  client->handshake = NULL;
}

// 1: the handshake is done now.
static int advance(struct client* client) {
  uint8_t datagram[MMSG_SLOT];
  const ssize_t bytes = recv(client->fd, datagram, sizeof datagram, MSG_DONTWAIT);
  if (bytes <= 0 || !client->handshake) return 0;
  switch (client_handshake_take(client->handshake, datagram, (size_t)bytes)) {
    case CLIENT_ANSWERS:
      send_flight(client);
      client->since = seconds_now();
      return 0;
    case CLIENT_DONE:
      client->records = client->handshake->records;
      return client->open = 1;
    default:
      return 0;
  }
}

// UDP may lose a datagram: the server's answer comes no more, and a new port asks.
static void start_anew(struct client* client, int fd) {
  client_records_end(&client->handshake->records);
  finish(client);
  close(client->fd);
  start_on(client, fd);
}

// Opens so many sessions, HANDSHAKES_AT_ONCE at a time. Nothing is left of them here, unless they are
// to send: keys.
static void open_all(int sessions, int to_send) {
  struct epoll_event events[64];
  int started = 0, opened = 0;
  const double deadline = seconds_now() + LIFETIME_SECONDS;
  while (opened < sessions) {
    while (started < sessions && started - opened < HANDSHAKES_AT_ONCE) start(&clients[started++]);
    if (!context) {
      opened = started;
      continue;
    }
    const int count = epoll_wait(epoll_fd, events, 64, 100);
    for (int i = 0; i < count; i++) {
      struct client* client = events[i].data.ptr;
      if (client->open || !advance(client)) continue;
      opened += 1;
      if (!to_send) client_records_end(&client->records);
      finish(client);
    }
    for (int i = 0; count == 0 && i < started; i++) {
      if (!clients[i].open) start_anew(&clients[i], udp_socket(NULL));
    }
    if (seconds_now() > deadline) die("handshakes take too long");
  }
}

// So many sessions that the server keeps, while here there are never more than HANDSHAKES_AT_ONCE.
static void fill(int sessions) {
  struct epoll_event events[64];
  int started = 0, opened = 0;
  const double begun = seconds_now();
  for (; started < HANDSHAKES_AT_ONCE && started < sessions; started++) {
    start_on(&clients[started], unused_socket());
  }
  double looked = begun;
  while (opened < sessions) {
    const int count = epoll_wait(epoll_fd, events, 64, 100);
    for (int i = 0; i < count; i++) {
      struct client* client = events[i].data.ptr;
      if (!advance(client)) continue;
      opened += 1;
      client_records_end(&client->records);
      finish(client);
      close(client->fd);
      if (started < sessions) {
        start_on(client, unused_socket());
        started += 1;
      }
    }
    // A lost datagram; as long as others come, epoll_wait never runs out of time.
    const double now = seconds_now();
    for (int i = 0; now > looked + PATIENCE_SECONDS && i < HANDSHAKES_AT_ONCE; i++) {
      const int late = clients[i].handshake && now > clients[i].since + PATIENCE_SECONDS;
      if (late) start_anew(&clients[i], unused_socket());
      if (i == HANDSHAKES_AT_ONCE - 1) looked = now;
    }
    if (now > begun + 2 * LIFETIME_SECONDS) die("handshakes take too long");
  }
  say("held", opened);
  for (;;) pause();
}

static void handshakes(double seconds, int at_once) {
  struct epoll_event events[64];
  for (int i = 0; i < at_once; i++) start(&clients[i]);
  const double warm = seconds_now() + WARM_UP_SECONDS;
  double started = 0, now = 0, spent = 0;
  uint64_t done = 0;
  do {
    const int count = epoll_wait(epoll_fd, events, 64, 100);
    for (int i = 0; i < count; i++) {
      struct client* client = events[i].data.ptr;
      if (!advance(client)) continue;
      done += 1;
      client_handshake_close(client->handshake);
      send_flight(client);
      client_records_end(&client->records);
      finish(client);
      close(client->fd);
      start(client);
    }
    for (int i = 0; count == 0 && i < at_once; i++) start_anew(&clients[i], udp_socket(NULL));
    now = seconds_now();
    if (started == 0 && now >= warm) {
      started = now;
      spent = cpu_seconds();
      done = 0;
      say("started", 0);
    }
  } while (started == 0 || now < started + seconds);
  say("cost", (cpu_seconds() - spent) / (double)done * 1e6);
  say("result", (double)done / (now - started));
}

static void ask(struct client* client, double now) {
  uint8_t record[sizeof payload + RECORD_AROUND];
  if (client->records.seal) {
    const size_t length = client_records_seal(&client->records, payload, sizeof payload, record);
    send(client->fd, record, length, MSG_DONTWAIT);
  } else {
    send(client->fd, payload, sizeof payload, MSG_DONTWAIT);
  }
  client->waiting = 1;
  client->since = now;
}

// Whether the datagram that waits is an echo. epoll tells of the next one, should there be more.
static int answered(struct client* client) {
  uint8_t datagram[MMSG_SLOT];
  const ssize_t bytes = recv(client->fd, datagram, sizeof datagram, MSG_DONTWAIT);
  if (bytes <= 0) return 0;
  if (!client->records.open) return bytes == sizeof payload;
  return client_records_open(&client->records, datagram, (size_t)bytes) == sizeof payload;
}

static void echoes(double seconds, int sessions) {
  struct epoll_event events[256];
  int next = 0;
  double now = seconds_now();
  for (; next < IN_FLIGHT && next < sessions; next++) ask(&clients[next], now);
  const double warm = now + WARM_UP_SECONDS;
  double started = 0, spent = 0, looked = now;
  uint64_t done = 0, lost = 0;
  do {
    const int count = epoll_wait(epoll_fd, events, 256, 50);
    now = seconds_now();
    for (int i = 0; i < count; i++) {
      struct client* client = events[i].data.ptr;
      if (!answered(client) || !client->waiting) continue;
      client->waiting = 0;
      done += 1;
      while (clients[next % sessions].waiting) next++;
      ask(&clients[next++ % sessions], now);
    }
    if (now > looked + PATIENCE_SECONDS) {
      looked = now;
      for (int i = 0; i < sessions; i++) {
        if (!clients[i].waiting || now < clients[i].since + PATIENCE_SECONDS) continue;
        ask(&clients[i], now);
        lost += 1;
      }
    }
    if (started == 0 && now >= warm) {
      started = now;
      spent = cpu_seconds();
      done = lost = 0;
      say("started", 0);
    }
  } while (started == 0 || now < started + seconds);
  say("lost", (double)lost);
  say("cost", (cpu_seconds() - spent) / (double)done * 1e6);
  say("result", (double)done / (now - started));
}

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  alarm(4 * LIFETIME_SECONDS);
  if (strcmp(argv[2], "plain") != 0) context = dtls_context(0, argv[2]);
  if (context) client_handshake_prepare(context);
  server_port = atoi(argv[3]);
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;  // a session is a socket here
    setrlimit(RLIMIT_NOFILE, &files);
  }
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) die("epoll_create1");
  if (strcmp(argv[1], "hold") == 0) {
    const int sessions = atoi(argv[4]);
    if (sessions < 1 || sessions > MOST) return 2;
    open_all(sessions, 0);
    say("held", sessions);
    for (;;) pause();
  }
  if (strcmp(argv[1], "fill") == 0) {
    const int sessions = atoi(argv[4]);
    if (!context || sessions < 1 || sessions > MOST_FILLED) return 2;
    fill(sessions);
  }
  if (argc < 6) return 2;
  const double seconds = atof(argv[4]);
  const int clients_wanted = atoi(argv[5]);
  if (clients_wanted < 1 || clients_wanted > MOST) return 2;
  if (strcmp(argv[1], "handshakes") == 0) {
    handshakes(seconds, clients_wanted);
  } else {
    open_all(clients_wanted, 1);
    echoes(seconds, clients_wanted);
  }
  return 0;
}
