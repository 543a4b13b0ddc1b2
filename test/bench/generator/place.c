#define _GNU_SOURCE
#include "place.h"
#include "report.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

union address {
  struct sockaddr any;
  struct sockaddr_in internet;
  struct sockaddr_un local;
};

static socklen_t address_of(const struct options *options, union address *address) {
  memset(address, 0, sizeof *address);
  if (!options->path) {
    address->internet.sin_family = AF_INET;
    address->internet.sin_port = htons((uint16_t)options->port);
    address->internet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sizeof address->internet;
  }
  size_t length = strlen(options->path);
  if (length >= sizeof address->local.sun_path) fail("The path of a Unix socket has at most 107 bytes");
  address->local.sun_family = AF_UNIX;
  memcpy(address->local.sun_path, options->path, length);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
}

static int open_socket(const struct options *options) {
  int fd = socket(options->path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("Cannot open a socket: %s", strerror(errno));
  return fd;
}

static void bind_source(int fd, int source) {
  struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)source)};
  int on = 1;
  // Without this the port is taken when the address is bound, for all destinations at once.
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0) fail("Cannot bind: %s", strerror(errno));
}

void place_hurry(const struct options *options, int fd) {
  int on = 1;
  if (!options->path) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int place_connect(const struct options *options, int source) {
  int fd = open_socket(options);
  place_hurry(options, fd);
  if (source > 0 && !options->path) bind_source(fd, source);
  union address to;
  socklen_t size = address_of(options, &to);
  // The queue of a Unix socket is short with some brokers, and who finds it full has to come again.
  while (connect(fd, &to.any, size) < 0 && errno != EINPROGRESS) {
    if (errno == EAGAIN && usleep(200) == 0) continue;
    if (options->path) fail("Cannot connect to %s: %s", options->path, strerror(errno));
    fail("Cannot connect to port %d: %s", options->port, strerror(errno));
  }
  return fd;
}

int place_listen(const struct options *options) {
  int fd = open_socket(options);
  union address at;
  socklen_t size = address_of(options, &at);
  if (bind(fd, &at.any, size) == 0 && listen(fd, 4096) == 0) return fd;
  if (options->path) fail("Cannot listen on %s: %s", options->path, strerror(errno));
  fail("Cannot listen on port %d: %s", options->port, strerror(errno));
}
