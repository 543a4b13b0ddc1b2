#define _GNU_SOURCE
#include "link.h"
#include "report.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 256 * 1024, REST_BYTES_MAX = 256 * 1024, EVENTS = 1024, DIRECT_BYTES_MIN = 4096 };

static int epoll_fd;
static struct link *dirty_links;
// All links read into one buffer, so that an idle connection of the generator costs nothing.
static uint8_t inbox[REST_BYTES_MAX + READ_BYTES];

void loop_start(void) {
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) fail("Cannot create epoll: %s", strerror(errno));
}

static void watch(struct link *link, int operation, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = link};
  if (epoll_ctl(epoll_fd, operation, link->fd, &event) < 0) fail("Cannot watch a socket: %s", strerror(errno));
}

static void closed(struct link *link, int error) {
  link_close(link);
  if (link->on_closed) link->on_closed(link, error);
}

static void finish_opening(struct link *link) {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error) {
    closed(link, error);
    return;
  }
  link->opening = false;
  watch(link, EPOLL_CTL_MOD, EPOLLIN);
  if (link->on_open) link->on_open(link);
}

static void accept_all(struct link *listener) {
  for (;;) {
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    listener->on_accept(listener, fd);
  }
}

static void read_some(struct link *link) {
  size_t before = link->rest_length;
  if (before) memcpy(inbox, link->rest, before);
  ssize_t count = recv(link->fd, inbox + before, READ_BYTES, 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) {
    closed(link, count < 0 ? errno : 0);
    return;
  }
  size_t length = before + (size_t)count;
  size_t used = link->on_bytes(link, inbox, length);
  if (link->fd < 0) return;
  size_t rest = length - used;
  if (rest > REST_BYTES_MAX) fail("A packet is larger than %d bytes", REST_BYTES_MAX);
  if (rest) {
    link->rest = realloc(link->rest, rest);
    memcpy(link->rest, inbox + used, rest);
  }
  link->rest_length = rest;
}

int loop_turn(int64_t timeout_ns) {
  while (dirty_links) {
    struct link *link = dirty_links;
    dirty_links = link->next_dirty;
    link->dirty = false;
    if (!link->blocked && !link->opening && link->fd >= 0) link_flush(link);
  }
  static struct epoll_event events[EVENTS];
  struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
  int count = epoll_pwait2(epoll_fd, events, EVENTS, timeout_ns < 0 ? NULL : &timeout, NULL);
  if (count < 0 && errno != EINTR) fail("Cannot wait for events: %s", strerror(errno));
  for (int i = 0; i < count; i++) {
    struct link *link = events[i].data.ptr;
    if (link->fd < 0) continue;
    if (link->accepting) {
      accept_all(link);
    } else if (link->opening) {
      finish_opening(link);
    } else {
      if (events[i].events & EPOLLOUT) link_flush(link);
      if (link->fd >= 0 && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) read_some(link);
    }
  }
  return count;
}

static void no_delay(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void link_connect(struct link *link, int source, int port) {
  link->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (link->fd < 0) fail("Cannot open a socket: %s", strerror(errno));
  no_delay(link->fd);
  if (source > 0) {
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)source)};
    int on = 1;
    // Without this the port is taken when the address is bound, for all destinations at once.
    setsockopt(link->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(link->fd, (struct sockaddr *)&from, sizeof from) < 0) fail("Cannot bind: %s", strerror(errno));
  }
  struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (connect(link->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
    fail("Cannot connect to port %d: %s", port, strerror(errno));
  }
  link->opening = true;
  watch(link, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

void link_listen(struct link *link, int port) {
  link->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in at = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(link->fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(link->fd, 4096) < 0) {
    fail("Cannot listen on port %d: %s", port, strerror(errno));
  }
  link->accepting = true;
  watch(link, EPOLL_CTL_ADD, EPOLLIN);
}

int link_local_port(const struct link *link) {
  struct sockaddr_in at;
  socklen_t size = sizeof at;
  if (getsockname(link->fd, (struct sockaddr *)&at, &size) < 0) fail("Cannot read a port: %s", strerror(errno));
  return ntohs(at.sin_port);
}

void link_adopt(struct link *link, int fd) {
  link->fd = fd;
  no_delay(fd);
  watch(link, EPOLL_CTL_ADD, EPOLLIN);
}

void link_close(struct link *link) {
  if (link->fd >= 0) close(link->fd);
  link->fd = -1;
  link->opening = link->blocked = false;
  link->rest_length = link->out_length = link->out_start = 0;
}

void link_flush(struct link *link) {
  while (link->out_length) {
    ssize_t count = send(link->fd, link->out + link->out_start, link->out_length, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      if (!link->blocked) watch(link, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
      link->blocked = true;
      return;
    }
    if (count < 0) {
      closed(link, errno);
      return;
    }
    link->out_start += (size_t)count;
    link->out_length -= (size_t)count;
  }
  link->out_start = 0;
  if (link->blocked) watch(link, EPOLL_CTL_MOD, EPOLLIN);
  link->blocked = false;
}

void link_send(struct link *link, const uint8_t *bytes, size_t length) {
  if (length >= DIRECT_BYTES_MIN && !link->out_length) {
    ssize_t count = send(link->fd, bytes, length, MSG_NOSIGNAL);
    if (count > 0) {
      bytes += count;
      length -= (size_t)count;
    }
  }
  if (length) memcpy(link_append(link, length), bytes, length);
}

void link_mark(struct link *link) {
  link->dirty = true;
  link->next_dirty = dirty_links;
  dirty_links = link;
}

uint8_t *link_grow(struct link *link, size_t length) {
  if (link->out_start) memmove(link->out, link->out + link->out_start, link->out_length);
  link->out_start = 0;
  size_t needed = link->out_length + length;
  if (needed > link->out_capacity) {
    size_t capacity = link->out_capacity ? link->out_capacity : 256;
    while (capacity < needed) capacity *= 2;
    link->out = realloc(link->out, capacity);
    link->out_capacity = capacity;
  }
  uint8_t *to = link->out + link->out_length;
  link->out_length += length;
  return to;
}
