#include "layers.h"
#include "secure.h"
#include "web.h"
#include <string.h>
#include <sys/socket.h>

// Below WebSocket everything is ready.
static void established(struct link *link) {
  if (link->web) {
    if (!link->dirty) link_mark(link); // the client's request
  } else if (link->on_open) {
    link->on_open(link);
  }
}

void layers_begin(struct link *link, const struct options *options) {
  if (options->web) link->web = web_begin(link->accepted, options->each);
  if (options->tls) {
    link->tls = secure_begin(link->fd, link->accepted);
    link->greeting = true;
  } else {
    established(link);
  }
}

bool layers_greet(struct link *link) {
  int done = secure_greet(link->tls);
  if (done > 0) {
    link->greeting = false;
    established(link);
  }
  return done >= 0;
}

ssize_t layers_take(struct link *link, uint8_t *to, size_t room) {
  return link->tls ? secure_read(link->tls, to, room) : recv(link->fd, to, room, 0);
}

ssize_t layers_give(struct link *link, const uint8_t *bytes, size_t length) {
  return link->tls ? secure_write(link->tls, bytes, length) : send(link->fd, bytes, length, MSG_NOSIGNAL);
}

bool layers_unwrap(struct link *link, uint8_t *bytes, size_t before, size_t *length) {
  struct web *web = link->web;
  if (!web) return true;
  if (web->upgraded) {
    *length = before + web_decode(web, bytes + before, *length - before, &link->ending);
    return true;
  }
  size_t used = web_upgrade(web, bytes, *length);
  if (!used) return false;
  if (web->out_length && !link->dirty) link_mark(link); // the server's answer
  if (link->on_open) link->on_open(link);
  memmove(bytes, bytes + used, *length - used);
  *length = web_decode(web, bytes, *length - used, &link->ending);
  return true;
}

void layers_end(struct link *link) {
  if (link->tls) secure_end(link->tls);
  if (link->web) web_end(link->web);
  link->tls = NULL;
  link->web = NULL;
  link->greeting = link->ending = false;
}
