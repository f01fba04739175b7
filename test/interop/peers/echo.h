// echo.h: a DTLS PSK peer that sends back what it gets, as client and as server, on a library
// of somebody else. One file for each library defines the functions below; echo.c drives them.
//
//   PEER server <key in hex> <identity> <suite> [option...]          prints "listening on <port>"
//   PEER client <port> <key in hex> <identity> <suite> [option...]
//
// Suites have OpenSSL's names. Options are the library's, except say=<count>: sends so many messages,
// each when the one before has come back, and prints "heard <count>"; with `update` some of them are
// "update keys", on which a peer of DTLS 1.3 makes new keys; with `repeat` a message is sent again when it
// has not come back in a while, and what comes back twice is passed over. Printed, each on a line: "open", "exporter <hex>" (RFC 5705, label
// EXPORTER_LABEL, no context, 32 bytes), at the peer's close_notify "closed by peer", at the end
// "echoed <messages>". A line on stdin, or its end, makes the program say close_notify.
#pragma once

#include <stddef.h>

#define EXPORTER_LABEL "EXPORTER-mcbn-interop"
enum { EXPORTER_BYTES = 32, MAX_MESSAGE = 16384 };

struct settings {
  int server;
  unsigned char key[64];
  size_t key_length;
  const char* identity;
  const char* suite;
  char** options;  // the last is null
};

// What peer_read() gives besides a length.
enum { NOTHING_WAITS = -1, PEER_CLOSED = -2, BROKEN = -3 };

// All of them on a connected, non-blocking UDP socket. Non-zero: failed, and said why on stderr.
int peer_open(const struct settings* settings, int socket);
int peer_export(unsigned char out[EXPORTER_BYTES]);
int peer_read(unsigned char* message, size_t capacity);
int peer_write(const unsigned char* message, size_t length);
void peer_close(void);

// Waits until the socket has something to read; 0 when the milliseconds have passed first.
int readable(int socket, int milliseconds);
// What follows "<name>=" in the options, "" for "<name>" alone; null when it is not there.
const char* option_of(const struct settings* settings, const char* name);
// The row of a suite in a table of names; ends the program when it is not there.
size_t row_of(const char* suite, const char* const names[], size_t count);
