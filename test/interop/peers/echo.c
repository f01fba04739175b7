#include "echo.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LIFETIME_SECONDS = 60 };

static void fail(const char* what) {
  perror(what);
  exit(1);
}

int readable(int socket, int milliseconds) {
  struct pollfd waited = {.fd = socket, .events = POLLIN};
  return poll(&waited, 1, milliseconds) > 0;
}

size_t row_of(const char* suite, const char* const names[], size_t count) {
  for (size_t row = 0; row < count; row++) {
    if (strcmp(suite, names[row]) == 0) return row;
  }
  fprintf(stderr, "unknown suite %s\n", suite);
  exit(2);
}

const char* option_of(const struct settings* settings, const char* name) {
  const size_t length = strlen(name);
  for (char** option = settings->options; *option != NULL; option++) {
    if (strncmp(*option, name, length) != 0) continue;
    const char* const rest = *option + length;
    if (*rest == '\0') return rest;
    if (*rest == '=') return rest + 1;
  }
  return NULL;
}

static void read_key(struct settings* settings, const char* hex) {
  const size_t length = strlen(hex) / 2;
  if (length > sizeof settings->key) exit(2);
  for (size_t i = 0; i < length; i++) {
    unsigned byte = 0;
    if (sscanf(hex + 2 * i, "%2x", &byte) != 1) exit(2);
    settings->key[i] = (unsigned char)byte;
  }
  settings->key_length = length;
}

static int loopback_socket(int port) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (port != 0) {
    if (connect(fd, (struct sockaddr*)&address, length) != 0) fail("connect");
    return fd;
  }
  if (bind(fd, (struct sockaddr*)&address, length) != 0) fail("bind");
  if (getsockname(fd, (struct sockaddr*)&address, &length) != 0) fail("getsockname");
  printf("listening on %d\n", ntohs(address.sin_port));
  // One client: the one that speaks first.
  unsigned char byte;
  if (recvfrom(fd, &byte, 1, MSG_PEEK, (struct sockaddr*)&address, &length) < 0) fail("recvfrom");
  if (connect(fd, (struct sockaddr*)&address, length) != 0) fail("connect");
  return fd;
}

static void print_exporter(void) {
  unsigned char exported[EXPORTER_BYTES];
  if (peer_export(exported) != 0) return;
  printf("exporter ");
  for (size_t i = 0; i < sizeof exported; i++) printf("%02x", exported[i]);
  printf("\n");
}

// Waits until the message is back; with `repeat` sends it again every half second, for ten.
static int heard(int fd, const unsigned char* sent, size_t length, int repeat) {
  enum { WAIT = 100, TURNS = 5, REPEATS = 20 };
  static unsigned char back[MAX_MESSAGE];
  for (int waits = 0; waits < TURNS * REPEATS || !repeat;) {
    const int got = peer_read(back, sizeof back);
    if (got == (int)length && memcmp(sent, back, length) == 0) return 1;
    if (got != NOTHING_WAITS && (got < 0 || !repeat)) {
      fprintf(stderr, "the message came back otherwise: %d\n", got);
      return 0;
    }
    if (got != NOTHING_WAITS || readable(fd, WAIT)) continue;
    if (++waits % TURNS == 0 && repeat && peer_write(sent, length) != 0) return 0;
  }
  fprintf(stderr, "the message never came back\n");
  return 0;
}

// Sends messages of many lengths, each when the one before is back.
static int say(int fd, const struct settings* settings, int count) {
  static const char update[] = "update keys";
  static unsigned char sent[MAX_MESSAGE];
  const int updating = option_of(settings, "update") != NULL;
  const int repeat = option_of(settings, "repeat") != NULL;
  for (int i = 0; i < count; i++) {
    size_t length = (size_t)(1 + i * 67 % 1100);
    memset(sent, 'a' + i % 26, length);
    if (updating && i % 8 == 3) memcpy(sent, update, length = sizeof update - 1);
    if (peer_write(sent, length) != 0 || !heard(fd, sent, length, repeat)) return 1;
  }
  printf("heard %d\n", count);
  return 0;
}

static int echo(int fd) {
  static unsigned char message[MAX_MESSAGE];
  for (unsigned long echoed = 0;;) {
    const int length = peer_read(message, sizeof message);
    if (length >= 0) {
      if (peer_write(message, (size_t)length) != 0) return 1;
      echoed++;
      continue;
    }
    if (length == BROKEN) return 1;
    if (length == PEER_CLOSED) printf("closed by peer\n");
    struct pollfd waited[] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    if (length == NOTHING_WAITS && poll(waited, 2, 100) >= 0 && waited[1].revents == 0) continue;
    peer_close();
    printf("echoed %lu\n", echoed);
    return 0;
  }
}

int main(int count, char** arguments) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  alarm(LIFETIME_SECONDS);
  struct settings settings = {.server = count > 1 && strcmp(arguments[1], "server") == 0};
  const int first = settings.server ? 2 : 3;
  if (count < first + 3) return 2;
  settings.options = arguments + first + 3;
  read_key(&settings, arguments[first]);
  settings.identity = arguments[first + 1];
  settings.suite = arguments[first + 2];
  const int fd = loopback_socket(settings.server ? 0 : atoi(arguments[2]));
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  if (peer_open(&settings, fd) != 0) return 1;
  printf("open\n");
  print_exporter();
  const char* const to_say = option_of(&settings, "say");
  if (to_say != NULL && say(fd, &settings, atoi(to_say)) != 0) return 1;
  return echo(fd);
}
