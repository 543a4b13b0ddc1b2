/*
 * MQTT-SN messages over a serial line: the framing, chosen when compiling by MQTTSN_FRAMING.
 *
 * A frame with a checksum ends in CRC-16/X-25 (polynomial 0x1021 reflected, initial value and final xor 0xFFFF;
 * "123456789" gives 0x906E) of the message, low octet first.
 */
#ifndef MQTTSN_LINE_H
#define MQTTSN_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MQTTSN_SLIP_CRC 1 /* END, message and CRC escaped as in RFC 1055, END. The default */
#define MQTTSN_SLIP 2     /* the same without CRC */
#define MQTTSN_COBS_CRC 3 /* 0x00, message and CRC with consistent overhead octet stuffing, 0x00 */
#define MQTTSN_RAW 4      /* messages back to back; a message that stops for a while is given up */

#ifndef MQTTSN_FRAMING
#define MQTTSN_FRAMING MQTTSN_SLIP_CRC
#endif

/* Raw only: an unfinished message is given up when nothing came for so many milliseconds. */
#ifndef MQTTSN_RAW_GAP_MS
#define MQTTSN_RAW_GAP_MS 20
#endif

/* Octets taken from, or given to, the port at once: 1 to 255. */
#ifndef MQTTSN_LINE_CHUNK
#define MQTTSN_LINE_CHUNK 16
#endif
#if MQTTSN_LINE_CHUNK < 1 || MQTTSN_LINE_CHUNK > 255
#error "MQTTSN_LINE_CHUNK must be 1 to 255"
#endif

typedef struct {
  void *context;
  /* Sends all of these octets, or loses some: what is lost is noticed and sent again. */
  void (*write)(void *context, const uint8_t *octets, size_t length);
  /* Takes up to `capacity` octets that have come; never waits. Returns how many. */
  size_t (*read)(void *context, uint8_t *octets, size_t capacity);
  uint32_t (*now_ms)(void *context);
} mqttsn_port;

/* All its members are the line's own, but `errors`, which may be read. */
typedef struct {
  const mqttsn_port *port;
  uint8_t *buffer;
  size_t capacity;
  size_t length;
  uint32_t last_ms; /* raw: when something came last */
  uint32_t errors;  /* frames that were dropped: checksum, length, too long, cut off */
  uint16_t crc;
  uint8_t code;     /* COBS: octets left of the block */
  bool escaped;     /* SLIP: after ESC. COBS: the block ends in a zero */
  bool spoilt;      /* until the next delimiter */
  uint8_t chunk[MQTTSN_LINE_CHUNK];
  uint8_t chunk_at;
  uint8_t chunk_length;
} mqttsn_line;

/*
 * `buffer` is for the longest message to come, plus 2 octets for the CRC; it holds a message until the next
 * mqttsn_line_receive.
 */
void mqttsn_line_init(mqttsn_line *line, const mqttsn_port *port, uint8_t *buffer, size_t capacity);

/* For mqttsn_transport, with the line as context. */
void mqttsn_line_send(void *line, const uint8_t *head, size_t head_length, const uint8_t *body, size_t body_length);
size_t mqttsn_line_receive(void *line, const uint8_t **message);
uint32_t mqttsn_line_now_ms(void *line);

/*
 * Part of a message has come. With raw framing a program that sleeps until something comes should then look again after
 * MQTTSN_RAW_GAP_MS: only a look that finds nothing ends a message that was cut off.
 */
bool mqttsn_line_is_unfinished(const mqttsn_line *line);

/* Goes on with a CRC-16/X-25 (start with 0xFFFF; the check value is the complement of the result). */
uint16_t mqttsn_crc16(uint16_t crc, uint8_t octet);

#ifdef __cplusplus
}
#endif

#endif
