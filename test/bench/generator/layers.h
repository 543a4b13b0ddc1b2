// TLS and WebSocket between a link and its socket, where the options ask for them.
#pragma once
#include "link.h"
#include "options.h"
#include <sys/types.h>

// The socket is connected: begins the handshakes. Without any the link is open at once; with TLS it is `greeting`.
void layers_begin(struct link *link, const struct options *options);
// Goes on with the TLS handshake. False when it has failed.
bool layers_greet(struct link *link);
// As recv() and send().
ssize_t layers_take(struct link *link, uint8_t *to, size_t room);
ssize_t layers_give(struct link *link, const uint8_t *bytes, size_t length);
// Of `length` bytes those from `before` on have just come: makes MQTT of them in the same place, and returns what `length`
// is then. False while they belong to the opening handshake of the WebSocket, which is to be seen again with what follows.
bool layers_unwrap(struct link *link, uint8_t *bytes, size_t before, size_t *length);
void layers_end(struct link *link);
