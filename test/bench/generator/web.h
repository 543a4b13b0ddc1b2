// Just enough of WebSocket (RFC 6455) to carry MQTT: binary messages in one frame each. Pings are not answered, since no
// run is long enough for a broker to miss that.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct web {
  bool server;
  bool each;     // a message for each packet, as most clients have it; otherwise one for all that is written at once
  bool upgraded; // the opening handshake is done
  // Of the frame that is being read.
  uint8_t header[14], header_length, opcode;
  bool masked;
  uint8_t key[4];
  uint64_t payload_at, payload_left;
  // Bytes for the socket, the opening handshake among them.
  uint8_t *out;
  size_t out_start, out_length, out_capacity;
};

struct web *web_begin(bool as_server, bool each);
void web_end(struct web *web);
// Takes the other side's part of the opening handshake at `bytes`: returns its length, 0 when its end has not come yet.
// As the server it answers. Fails the run when it is refused.
size_t web_upgrade(struct web *web, const uint8_t *bytes, size_t length);
// Leaves the payload of what came at the beginning of `bytes` and returns its length; `closed` when the peer says goodbye.
size_t web_decode(struct web *web, uint8_t *bytes, size_t length, bool *closed);
// Appends whole packets as messages to `out`.
void web_encode(struct web *web, const uint8_t *packets, size_t length);
