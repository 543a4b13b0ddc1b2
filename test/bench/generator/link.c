#define _GNU_SOURCE
#include "link.h"
#include "layers.h"
#include "place.h"
#include "report.h"
#include "secure.h"
#include "web.h"
#include "wire.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 256 * 1024, REST_BYTES_MAX = 256 * 1024, EVENTS = 1024, DIRECT_BYTES_MIN = 4096 };

static int epoll_fd;
static const struct options *place;
static struct link *dirty_links;
// All links read into one buffer, so that an idle connection of the generator costs nothing.
static uint8_t inbox[REST_BYTES_MAX + READ_BYTES];

void loop_start(const struct options *options) {
  place = options;
  if (place->tls) secure_start(place->tls, place->certificate, place->key);
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

static void accept_all(struct link *listener) {
  for (;;) {
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    listener->on_accept(listener, fd);
  }
}

static void keep(struct link *link, const uint8_t *bytes, size_t rest) {
  if (rest > REST_BYTES_MAX) fail("A packet is larger than %d bytes", REST_BYTES_MAX);
  if (rest) {
    link->rest = realloc(link->rest, rest);
    memcpy(link->rest, bytes, rest);
  }
  link->rest_length = rest;
}

// Returns whether there may be more.
static bool read_once(struct link *link) {
  size_t before = link->rest_length;
  if (before) memcpy(inbox, link->rest, before);
  ssize_t count = layers_take(link, inbox + before, READ_BYTES);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (count <= 0) {
    closed(link, count < 0 ? errno : 0);
    return false;
  }
  size_t length = before + (size_t)count;
  if (!layers_unwrap(link, inbox, before, &length)) {
    keep(link, inbox, length);
    return true;
  }
  size_t used = link->on_bytes(link, inbox, length);
  if (link->fd >= 0 && link->ending) closed(link, 0);
  if (link->fd < 0) return false;
  keep(link, inbox + used, length - used);
  return true;
}

static void read_some(struct link *link) {
  // OpenSSL has perhaps fetched more than it handed out, of which no event would come.
  while (read_once(link) && link->tls) continue;
}

static void greet(struct link *link) {
  if (!layers_greet(link)) closed(link, EPROTO);
  // More may have been fetched with the last of the handshake.
  if (link->fd >= 0 && !link->greeting) read_some(link);
}

static void begin(struct link *link) {
  layers_begin(link, place);
  if (link->greeting) greet(link);
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
  begin(link);
}

int loop_turn(int64_t timeout_ns) {
  while (dirty_links) {
    struct link *link = dirty_links;
    dirty_links = link->next_dirty;
    link->dirty = false;
    if (!link->blocked && !link->opening && !link->greeting && link->fd >= 0) link_flush(link);
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
    } else if (link->greeting) {
      greet(link);
    } else {
      if (events[i].events & EPOLLOUT) link_flush(link);
      if (link->fd >= 0 && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) read_some(link);
    }
  }
  return count;
}

void link_connect(struct link *link, int source) {
  link->fd = place_connect(place, source);
  link->opening = true;
  watch(link, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

void link_listen(struct link *link) {
  link->fd = place_listen(place);
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
  link->accepted = true;
  place_hurry(place, fd);
  watch(link, EPOLL_CTL_ADD, EPOLLIN);
  begin(link);
}

void link_close(struct link *link) {
  layers_end(link);
  if (link->fd >= 0) close(link->fd);
  link->fd = -1;
  link->opening = link->blocked = false;
  link->rest_length = link->out_length = link->out_start = 0;
}

// How much of it is one write.
static size_t piece(const struct link *link, const uint8_t *bytes, size_t length) {
  struct frame frame;
  size_t packet = place->each && !link->web ? read_frame(bytes, bytes + length, &frame) : 0;
  return packet ? packet : length;
}

// Returns whether all is gone; if not, the link is blocked or closed.
static bool push(struct link *link, const uint8_t *out, size_t *start, size_t *length) {
  while (*length) {
    ssize_t count = layers_give(link, out + *start, piece(link, out + *start, *length));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      if (!link->blocked) watch(link, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
      link->blocked = true;
      return false;
    }
    if (count < 0) {
      closed(link, errno);
      return false;
    }
    *start += (size_t)count;
    *length -= (size_t)count;
  }
  *start = 0;
  return true;
}

void link_flush(struct link *link) {
  struct web *web = link->web;
  if (web) {
    web_encode(web, link->out + link->out_start, link->out_length);
    link->out_start = link->out_length = 0;
  }
  bool all = web ? push(link, web->out, &web->out_start, &web->out_length)
                 : push(link, link->out, &link->out_start, &link->out_length);
  if (!all) return;
  if (link->blocked) watch(link, EPOLL_CTL_MOD, EPOLLIN);
  link->blocked = false;
}

void link_send(struct link *link, const uint8_t *bytes, size_t length) {
  if (length >= DIRECT_BYTES_MIN && !link->out_length && !link->web && !place->each) {
    ssize_t count = layers_give(link, bytes, length);
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
