#include "packet.h"

/* Which fields a message has; they always follow one another in this order (5.4). */
#define FLAGS 0x01
#define PROTOCOL 0x02
#define TOPIC 0x04
#define MESSAGE 0x08
#define CODE 0x10
#define DATA 0x20
#define KNOWN 0x80

#define PROTOCOL_ID 0x01

static const uint8_t FIELDS[] = {
    [SN_CONNECT] = KNOWN | FLAGS | PROTOCOL | TOPIC | DATA,
    [SN_CONNACK] = KNOWN | CODE,
    [SN_WILLTOPICREQ] = KNOWN,
    [SN_WILLTOPIC] = KNOWN | FLAGS | DATA,
    [SN_WILLMSGREQ] = KNOWN,
    [SN_WILLMSG] = KNOWN | DATA,
    [SN_REGISTER] = KNOWN | TOPIC | MESSAGE | DATA,
    [SN_REGACK] = KNOWN | TOPIC | MESSAGE | CODE,
    [SN_PUBLISH] = KNOWN | FLAGS | TOPIC | MESSAGE | DATA,
    [SN_PUBACK] = KNOWN | TOPIC | MESSAGE | CODE,
    [SN_PUBCOMP] = KNOWN | MESSAGE,
    [SN_PUBREC] = KNOWN | MESSAGE,
    [SN_PUBREL] = KNOWN | MESSAGE,
    [SN_SUBSCRIBE] = KNOWN | FLAGS | MESSAGE | DATA,
    [SN_SUBACK] = KNOWN | FLAGS | TOPIC | MESSAGE | CODE,
    [SN_UNSUBSCRIBE] = KNOWN | FLAGS | MESSAGE | DATA,
    [SN_UNSUBACK] = KNOWN | MESSAGE,
    [SN_PINGREQ] = KNOWN | DATA,
    [SN_PINGRESP] = KNOWN,
    [SN_DISCONNECT] = KNOWN | DATA,
};

static uint8_t fields_of(uint8_t type) { return type < sizeof FIELDS ? FIELDS[type] : 0; }

static uint16_t read16(const uint8_t *at) { return (uint16_t)(((uint16_t)at[0] << 8) | at[1]); }

static uint8_t *write16(uint8_t *at, uint16_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
  return at + 2;
}

/* Octets of the fields between the type and the data. */
static uint8_t size_of(uint8_t fields) {
  uint8_t size = 0;
  if (fields & FLAGS) size++;
  if (fields & PROTOCOL) size++;
  if (fields & TOPIC) size = (uint8_t)(size + 2);
  if (fields & MESSAGE) size = (uint8_t)(size + 2);
  if (fields & CODE) size++;
  return size;
}

bool mqttsn_packet_read(const uint8_t *octets, size_t length, mqttsn_packet *packet) {
  const uint8_t *at = octets + 1;
  const uint8_t *end = octets + length;
  size_t told;
  uint8_t fields;
  size_t size;

  if (length < 2) return false;
  told = octets[0];
  if (told == 1) {
    if (length < 4) return false;
    told = read16(octets + 1);
    at = octets + 3;
  }
  if (told != length) return false;
  packet->type = *at++;
  fields = fields_of(packet->type);
  size = size_of(fields);
  if (!(fields & KNOWN) || (size_t)(end - at) < size) return false;
  if (!(fields & DATA) && (size_t)(end - at) != size) return false;

  packet->flags = (fields & FLAGS) ? *at++ : 0;
  if ((fields & PROTOCOL) && *at++ != PROTOCOL_ID) return false;
  packet->topic_id = 0;
  packet->message_id = 0;
  if (fields & TOPIC) {
    packet->topic_id = read16(at);
    at += 2;
  }
  if (fields & MESSAGE) {
    packet->message_id = read16(at);
    at += 2;
  }
  packet->code = (fields & CODE) ? *at++ : 0;
  packet->data = at;
  packet->length = (size_t)(end - at);
  return true;
}

size_t mqttsn_packet_head(const mqttsn_packet *packet, uint8_t *head) {
  uint8_t fields = fields_of(packet->type);
  uint8_t *at = head;
  size_t rest = 1u + size_of(fields);

  /* Compared by subtraction: on a machine with 16-bit sizes a sum could wrap around. */
  if (packet->length > 0xffffu - 3u - rest) return 0;
  rest += packet->length;
  if (rest + 1 <= 0xff) {
    *at++ = (uint8_t)(rest + 1);
  } else {
    *at++ = 1;
    at = write16(at, (uint16_t)(rest + 3));
  }
  *at++ = packet->type;
  if (fields & FLAGS) *at++ = packet->flags;
  if (fields & PROTOCOL) *at++ = PROTOCOL_ID;
  if (fields & TOPIC) at = write16(at, packet->topic_id);
  if (fields & MESSAGE) at = write16(at, packet->message_id);
  if (fields & CODE) *at++ = packet->code;
  return (size_t)(at - head);
}
