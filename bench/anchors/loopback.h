// loopback.h: what all anchors share, whatever library is under them: a UDP socket on loopback, times,
// and the lines that they print.
//
// An anchor is a C program as a careful C programmer would write it with what the system has; mcbn
// is measured beside it. Each prints "port <n>" when it can be talked to and "result <number>" at
// its end, lives at most LIFETIME_SECONDS, and uses loopback addresses only.
#pragma once

#include <netinet/in.h>
#include <stdint.h>

#define LIFETIME_SECONDS 60
#define WARM_UP_SECONDS 0.3

// bench/lib/credentials.ts has the same bytes.
extern const char kIdentity[6];
extern const uint8_t kKey[16];

double seconds_now(void);
double cpu_seconds(void);  // of this process, user and system
// Prints errno and what the library says, exits 1. Defined beside what uses the library.
void die(const char* what);
void say(const char* name, double value);

// Bound to 127.0.0.1, an ephemeral port, with buffers of 4 MB if the system lets it.
int udp_socket(int* port);
// The same with an address (in network order) and port of the caller's choice; -1: that port is taken.
int udp_socket_at(struct sockaddr_in address);
void udp_connect(int fd, int port);
struct sockaddr_in loopback(int port);

// To be called for each message that arrives. After the warm-up it says "started", after so many seconds
// "cost" (processor time in us) and "result" (messages/s); 1: that was all.
int count_message(double seconds);
