#include "wire.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t write_varint(uint8_t *to, size_t value) {
  size_t count = 0;
  do {
    to[count++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
    value >>= 7;
  } while (value);
  return count;
}

static uint8_t *write_string(uint8_t *to, const char *text) {
  size_t length = strlen(text);
  write_uint16(to, (uint16_t)length);
  memcpy(to + 2, text, length);
  return to + 2 + length;
}

// Puts the fixed header before `body`, once its length is known.
static size_t with_header(uint8_t *to, uint8_t header, const uint8_t *body, size_t length) {
  to[0] = header;
  size_t size = write_varint(to + 1, length);
  memcpy(to + 1 + size, body, length);
  return 1 + size + length;
}

size_t write_connect(uint8_t *to, int version, const char *client_identifier, bool clean_start, int user) {
  uint8_t body[CONNECT_BYTES_MAX];
  uint8_t *at = write_string(body, "MQTT");
  *at++ = (uint8_t)version;
  *at++ = (uint8_t)((clean_start ? 0x02 : 0x00) | (user < 0 ? 0x00 : 0xc0));
  write_uint16(at, 0);
  at += 2;
  if (version == 5 && clean_start) {
    *at++ = 0;
  } else if (version == 5) {
    // Session Expiry Interval of an hour: what Clean Session 0 means at 3.1.1.
    const uint8_t properties[] = {5, 0x11, 0, 0, 0x0e, 0x10};
    memcpy(at, properties, sizeof properties);
    at += sizeof properties;
  }
  at = write_string(at, client_identifier);
  if (user >= 0) {
    char text[24];
    snprintf(text, sizeof text, "user%d", user);
    at = write_string(at, text);
    snprintf(text, sizeof text, "password%d", user);
    at = write_string(at, text);
  }
  return with_header(to, CONNECT << 4, body, (size_t)(at - body));
}

size_t write_subscribe(uint8_t *to, int version, uint16_t packet_identifier, const char *topic_filter, int qos) {
  uint8_t body[SUBSCRIBE_BYTES_MAX];
  uint8_t *at = body;
  write_uint16(at, packet_identifier);
  at += 2;
  if (version == 5) *at++ = 0;
  at = write_string(at, topic_filter);
  *at++ = (uint8_t)qos;
  return with_header(to, SUBSCRIBE << 4 | 2, body, (size_t)(at - body));
}

struct publish_template make_publish(int version, const char *topic_name, int qos, bool retain, size_t payload_length) {
  size_t body_length = 2 + strlen(topic_name) + (qos ? 2 : 0) + (version == 5 ? 1 : 0) + payload_length;
  struct publish_template made = {.bytes = calloc(1, body_length + 5)};
  uint8_t *at = made.bytes;
  *at++ = (uint8_t)(PUBLISH << 4 | qos << 1 | (retain ? 1 : 0));
  at += write_varint(at, body_length);
  at = write_string(at, topic_name);
  if (qos) {
    made.identifier_at = (size_t)(at - made.bytes);
    at += 2;
  }
  if (version == 5) *at++ = 0;
  made.payload_at = (size_t)(at - made.bytes);
  memset(at, 'x', payload_length);
  made.length = made.payload_at + payload_length;
  return made;
}

// Properties of CONNACK by identifier, §3.2.2.3: how many bytes each value takes; -1 is a string, -2 a pair of them.
static int property_bytes(uint8_t identifier) {
  switch (identifier) {
    case 0x24: case 0x25: case 0x28: case 0x29: case 0x2a: return 1;
    case 0x21: case 0x22: case 0x13: return 2;
    case 0x11: case 0x27: return 4;
    case 0x12: case 0x1f: case 0x1a: case 0x1c: case 0x15: case 0x16: return -1;
    case 0x26: return -2;
    default: return -3;
  }
}

bool read_connack(const struct frame *frame, int version, struct connack *connack) {
  if (frame->end - frame->body < 2) return false;
  *connack = (struct connack){frame->body[0] & 1, frame->body[1], 65535};
  // A broker without 5.0 refuses with the shorter CONNACK of 3.1.1.
  if (version != 5 || (connack->reason_code && frame->end - frame->body == 2)) return true;
  uint32_t length;
  size_t size = read_varint(frame->body + 2, frame->end, &length);
  const uint8_t *at = frame->body + 2 + size;
  if (!size || at + length > frame->end) return false;
  while (at < frame->end) {
    uint8_t identifier = *at++;
    int bytes = property_bytes(identifier);
    if (bytes == -3) return false;
    if (identifier == 0x21 && frame->end - at >= 2) connack->receive_maximum = read_uint16(at);
    if (bytes > 0) at += bytes;
    for (; bytes < 0 && frame->end - at >= 2; bytes++) at += 2 + read_uint16(at);
    if (bytes < 0) return false;
  }
  return at == frame->end;
}
