// Just enough of MQTT 3.1.1 (version 4) and 5.0 (version 5) to load a broker. Packet types are the specification's.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum packet_type {
  CONNECT = 1, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP,
  SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH,
};

// A whole packet: the first byte, and what follows the Remaining Length.
struct frame {
  uint8_t header;
  const uint8_t *body, *end;
};

struct publish {
  const uint8_t *topic, *payload;
  uint32_t topic_length, payload_length;
  uint16_t packet_identifier; // 0 at QoS 0
  uint8_t qos;
  bool retain;
};

// Reads a Variable Byte Integer and returns the bytes it took; 0 when it is not complete.
static inline size_t read_varint(const uint8_t *from, const uint8_t *end, uint32_t *value) {
  uint32_t result = 0;
  for (size_t i = 0; i < 4 && from + i < end; i++) {
    result |= (uint32_t)(from[i] & 0x7f) << (7 * i);
    if (!(from[i] & 0x80)) {
      *value = result;
      return i + 1;
    }
  }
  return 0;
}

static inline uint16_t read_uint16(const uint8_t *from) { return (uint16_t)(from[0] << 8 | from[1]); }

static inline void write_uint16(uint8_t *to, uint16_t value) {
  to[0] = (uint8_t)(value >> 8);
  to[1] = (uint8_t)value;
}

// Returns the length of the whole packet at `from`, or 0 when its end has not come yet.
static inline size_t read_frame(const uint8_t *from, const uint8_t *end, struct frame *frame) {
  if (end - from < 2) return 0;
  uint32_t remaining;
  size_t size = read_varint(from + 1, end, &remaining);
  if (!size || (size_t)(end - from) < 1 + size + remaining) return 0;
  frame->header = from[0];
  frame->body = from + 1 + size;
  frame->end = frame->body + remaining;
  return 1 + size + remaining;
}

// False when the packet is malformed.
static inline bool read_publish(const struct frame *frame, int version, struct publish *publish) {
  const uint8_t *at = frame->body;
  if (frame->end - at < 2) return false;
  publish->topic_length = read_uint16(at);
  publish->topic = at + 2;
  at += 2 + publish->topic_length;
  publish->qos = frame->header >> 1 & 3;
  publish->retain = frame->header & 1;
  publish->packet_identifier = 0;
  if (publish->qos) {
    if (frame->end - at < 2) return false;
    publish->packet_identifier = read_uint16(at);
    at += 2;
  }
  if (version == 5) {
    uint32_t properties;
    size_t size = read_varint(at, frame->end, &properties);
    if (!size) return false;
    at += size + properties;
  }
  if (at > frame->end) return false;
  publish->payload = at;
  publish->payload_length = (uint32_t)(frame->end - at);
  return true;
}

// An acknowledgement of four bytes; at 5.0 the Reason Code 0 is left out, which has the same layout.
static inline void write_ack(uint8_t *to, enum packet_type type, uint16_t packet_identifier) {
  to[0] = (uint8_t)(type << 4 | (type == PUBREL ? 2 : 0));
  to[1] = 2;
  write_uint16(to + 2, packet_identifier);
}

enum { CONNECT_BYTES_MAX = 128, SUBSCRIBE_BYTES_MAX = 300 };

// Keep Alive is 0: no PINGREQ is needed however long an interval lasts.
// `user` is a number that user name and password are made of; -1: none.
size_t write_connect(uint8_t *to, int version, const char *client_identifier, bool clean_start, int user);
size_t write_subscribe(uint8_t *to, int version, uint16_t packet_identifier, const char *topic_filter, int qos);

// A PUBLISH encoded once; per message only the packet identifier and the payload's stamp are patched.
struct publish_template {
  uint8_t *bytes;
  size_t length, identifier_at, payload_at;
};
struct publish_template make_publish(int version, const char *topic_name, int qos, bool retain, size_t payload_length);

// What a CONNACK tells a load generator.
struct connack {
  bool session_present;
  uint8_t reason_code;
  uint16_t receive_maximum;
};
bool read_connack(const struct frame *frame, int version, struct connack *connack);
