/* The bytes of MQTT-SN 1.2: not part of the interface. */
#ifndef MQTTSN_PACKET_H
#define MQTTSN_PACKET_H

#include "../include/mqttsn.h"

#define SN_CONNECT 0x04
#define SN_CONNACK 0x05
#define SN_WILLTOPICREQ 0x06
#define SN_WILLTOPIC 0x07
#define SN_WILLMSGREQ 0x08
#define SN_WILLMSG 0x09
#define SN_REGISTER 0x0a
#define SN_REGACK 0x0b
#define SN_PUBLISH 0x0c
#define SN_PUBACK 0x0d
#define SN_PUBCOMP 0x0e
#define SN_PUBREC 0x0f
#define SN_PUBREL 0x10
#define SN_SUBSCRIBE 0x12
#define SN_SUBACK 0x13
#define SN_UNSUBSCRIBE 0x14
#define SN_UNSUBACK 0x15
#define SN_PINGREQ 0x16
#define SN_PINGRESP 0x17
#define SN_DISCONNECT 0x18

#define SN_DUP 0x80
#define SN_QOS 0x60
#define SN_QOS_SHIFT 5
#define SN_RETAIN 0x10
#define SN_WILL 0x08
#define SN_CLEAN 0x04
#define SN_TOPIC_TYPE 0x03

typedef struct {
  uint8_t type;
  uint8_t flags;
  uint8_t code;
  uint16_t topic_id; /* CONNECT: the duration */
  uint16_t message_id;
  const uint8_t *data;
  size_t length;
} mqttsn_packet;

/*
 * Reads exactly one message that fills `length` octets; `data` points into them. False when it is of no kind that a
 * client knows, or its length is wrong.
 */
bool mqttsn_packet_read(const uint8_t *octets, size_t length, mqttsn_packet *packet);

/*
 * Writes all but the data, whose length counts, to `head` (MQTTSN_HEAD_MAX). Returns the octets written, or 0 when the
 * message would be too long.
 */
size_t mqttsn_packet_head(const mqttsn_packet *packet, uint8_t *head);

#endif
