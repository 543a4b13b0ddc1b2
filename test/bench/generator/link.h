// One connection of the generator, by TCP or a Unix socket, in TLS and WebSocket where that is asked for: it gathers output and writes it once per turn of the loop.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct options;
struct ssl_st;
struct web;

struct link {
  int fd;
  bool opening;      // connect() is under way
  bool accepting;    // a listening socket
  bool accepted;     // we are the server of this connection
  bool ending;       // the peer has closed its WebSocket
  bool greeting;     // the TLS handshake is under way
  struct ssl_st *tls; // NULL: none
  struct web *web;    // NULL: no WebSocket
  bool blocked;      // the kernel took only a part: waiting for EPOLLOUT
  bool dirty;        // on the list of links to flush
  struct link *next_dirty;
  uint8_t *rest;     // the beginning of a packet whose end has not come yet
  size_t rest_length;
  uint8_t *out;
  size_t out_start, out_length, out_capacity;
  void (*on_open)(struct link *);
  // Consumes whole packets and returns how many bytes they were.
  size_t (*on_bytes)(struct link *, const uint8_t *bytes, size_t length);
  // The peer closed, or the connection failed; `error` is an errno or 0. The link is closed already.
  void (*on_closed)(struct link *, int error);
  void (*on_accept)(struct link *, int fd);
};

// `options` say where links connect to, and how. They must stay.
void loop_start(const struct options *options);
// Flushes what was appended, waits up to `timeout_ns` (negative: for ever), and handles what came. Returns how many
// links had something.
int loop_turn(int64_t timeout_ns);

// `source`: see place_connect(). `on_open` is called when TLS and WebSocket have done their handshakes too.
void link_connect(struct link *link, int source);
void link_listen(struct link *link);
int link_local_port(const struct link *link);
// Takes over an accepted socket.
void link_adopt(struct link *link, int fd);
void link_close(struct link *link);
// Writes at once whatever is pending.
void link_flush(struct link *link);
// Sends whole packets of `length` bytes: long ones at once and without a copy when nothing waits before them, others with the next turn.
void link_send(struct link *link, const uint8_t *bytes, size_t length);
uint8_t *link_grow(struct link *link, size_t length);
void link_mark(struct link *link);

// Room for `length` bytes at the end of the pending output; they leave at the beginning of the next turn.
static inline uint8_t *link_append(struct link *link, size_t length) {
  if (!link->dirty) link_mark(link);
  if (link->out_start + link->out_length + length > link->out_capacity) return link_grow(link, length);
  uint8_t *to = link->out + link->out_start + link->out_length;
  link->out_length += length;
  return to;
}
