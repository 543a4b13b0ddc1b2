#define _GNU_SOURCE
#include "web.h"
#include "report.h"
#include "wire.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BINARY = 2, CLOSE = 8, CONTROL = 8, FINAL = 0x80, MASKED = 0x80, HEADER_BYTES_MAX = 14 };

static const char request[] =
    "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: bXF0dC1icm9rZXItYmVuYw==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
// The generator does not check what it would be told of its key, so that the sink leaves it out.
static const char answer[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

static uint8_t *grow(struct web *web, size_t length) {
  if (web->out_start + web->out_length + length > web->out_capacity) {
    if (web->out_start) memmove(web->out, web->out + web->out_start, web->out_length);
    web->out_start = 0;
    size_t capacity = web->out_capacity ? web->out_capacity : 1024;
    while (capacity < web->out_length + length) capacity *= 2;
    if (capacity != web->out_capacity) web->out = realloc(web->out, capacity);
    web->out_capacity = capacity;
  }
  uint8_t *to = web->out + web->out_start + web->out_length;
  web->out_length += length;
  return to;
}

struct web *web_begin(bool as_server, bool each) {
  struct web *web = calloc(1, sizeof *web);
  web->server = as_server;
  web->each = each;
  if (!as_server) memcpy(grow(web, sizeof request - 1), request, sizeof request - 1);
  return web;
}

void web_end(struct web *web) {
  free(web->out);
  free(web);
}

size_t web_upgrade(struct web *web, const uint8_t *bytes, size_t length) {
  const uint8_t *end = memmem(bytes, length, "\r\n\r\n", 4);
  if (!end) return 0;
  if (web->server) {
    memcpy(grow(web, sizeof answer - 1), answer, sizeof answer - 1);
  } else if (length < 12 || memcmp(bytes, "HTTP/1.1 101", 12)) {
    fail("No WebSocket: %.*s", (int)((const uint8_t *)memchr(bytes, '\r', length) - bytes), bytes);
  }
  web->upgraded = true;
  return (size_t)(end + 4 - bytes);
}

// `at`: how far into the frame's payload `to` is. Bytes may move towards the front.
static void apply_mask(uint8_t *to, const uint8_t *from, size_t length, const uint8_t key[4], uint64_t at) {
  uint8_t twice[8];
  for (int i = 0; i < 8; i++) twice[i] = key[(at + (uint64_t)i) & 3];
  uint64_t mask, part;
  memcpy(&mask, twice, sizeof mask);
  size_t i = 0;
  for (; i + sizeof part <= length; i += sizeof part) {
    memcpy(&part, from + i, sizeof part);
    part ^= mask;
    memcpy(to + i, &part, sizeof part);
  }
  for (; i < length; i++) to[i] = from[i] ^ twice[i & 7];
}

static size_t header_size(const struct web *web) {
  if (web->header_length < 2) return 2;
  size_t of_length = (web->header[1] & 0x7f) == 126 ? 2 : (web->header[1] & 0x7f) == 127 ? 8 : 0;
  return 2 + of_length + (web->header[1] & MASKED ? 4 : 0);
}

static void read_header(struct web *web) {
  const uint8_t *at = web->header + 2;
  web->opcode = web->header[0] & 0x0f;
  web->masked = web->header[1] & MASKED;
  web->payload_left = web->header[1] & 0x7f;
  int size = web->payload_left == 126 ? 2 : web->payload_left == 127 ? 8 : 0;
  if (size) web->payload_left = 0;
  for (; size; size--) web->payload_left = web->payload_left << 8 | *at++;
  if (web->masked) memcpy(web->key, at, sizeof web->key);
  if (web->masked != web->server) fail("A WebSocket frame is masked where it must not be, or the other way round");
  if (web->opcode < CONTROL && web->opcode > BINARY) fail("A WebSocket frame has the opcode %d", web->opcode);
  web->payload_at = 0;
  web->header_length = 0;
}

size_t web_decode(struct web *web, uint8_t *bytes, size_t length, bool *closed) {
  size_t from = 0, to = 0;
  while (from < length) {
    if (!web->payload_left) {
      web->header[web->header_length++] = bytes[from++];
      if (web->header_length == header_size(web)) read_header(web);
      if (web->header_length == 0 && web->opcode == CLOSE) *closed = true;
      continue;
    }
    size_t count = length - from < web->payload_left ? length - from : (size_t)web->payload_left;
    if (web->opcode < CONTROL) {
      if (web->masked) {
        apply_mask(bytes + to, bytes + from, count, web->key, web->payload_at);
      } else {
        memmove(bytes + to, bytes + from, count);
      }
      to += count;
    }
    from += count;
    web->payload_at += count;
    web->payload_left -= count;
  }
  return to;
}

// Not secret, but another one for each frame, and never zero: a mask of zeros would cost the broker nothing.
static uint32_t next_key(void) {
  static uint32_t state = 2463534242u;
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

static void encode_one(struct web *web, const uint8_t *bytes, size_t length) {
  uint8_t header[HEADER_BYTES_MAX], key[4];
  size_t size = 2;
  header[0] = FINAL | BINARY;
  header[1] = length < 126 ? (uint8_t)length : length < 65536 ? 126 : 127;
  int length_bytes = length < 126 ? 0 : length < 65536 ? 2 : 8;
  for (int i = length_bytes; i; i--) header[size++] = (uint8_t)((uint64_t)length >> (8 * (i - 1)));
  if (!web->server) {
    uint32_t number = next_key();
    memcpy(key, &number, sizeof key);
    header[1] |= MASKED;
    memcpy(header + size, key, sizeof key);
    size += sizeof key;
  }
  uint8_t *to = grow(web, size + length);
  memcpy(to, header, size);
  if (web->server) {
    memcpy(to + size, bytes, length);
  } else {
    apply_mask(to + size, bytes, length, key, 0);
  }
}

void web_encode(struct web *web, const uint8_t *packets, size_t length) {
  if (!web->each) {
    if (length) encode_one(web, packets, length);
    return;
  }
  struct frame frame;
  for (size_t at = 0, size; at < length; at += size) {
    size = read_frame(packets + at, packets + length, &frame);
    if (!size) fail("A packet was to be sent before its end was there");
    encode_one(web, packets + at, size);
  }
}
