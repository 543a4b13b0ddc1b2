#include "../include/mqttsn-line.h"

#define IS_SLIP (MQTTSN_FRAMING == MQTTSN_SLIP_CRC || MQTTSN_FRAMING == MQTTSN_SLIP)
#define HAS_CRC (MQTTSN_FRAMING == MQTTSN_SLIP_CRC || MQTTSN_FRAMING == MQTTSN_COBS_CRC)

#if MQTTSN_FRAMING < MQTTSN_SLIP_CRC || MQTTSN_FRAMING > MQTTSN_RAW
#error "MQTTSN_FRAMING must be MQTTSN_SLIP_CRC, MQTTSN_SLIP, MQTTSN_COBS_CRC or MQTTSN_RAW"
#endif

#define SLIP_END 0xc0
#define SLIP_ESC 0xdb
#define SLIP_ESC_END 0xdc
#define SLIP_ESC_ESC 0xdd

#define COBS_BLOCK_MAX 0xfe

#define CRC_START 0xffff
/* What the CRC comes to when it is taken over a message and its own CRC. */
#define CRC_RESIDUE 0xf0b8
#define CRC_LENGTH 2

uint16_t mqttsn_crc16(uint16_t crc, uint8_t octet) {
  uint8_t x = (uint8_t)(crc ^ octet);
  x = (uint8_t)(x ^ (x << 4));
  return (uint16_t)((crc >> 8) ^ ((uint16_t)x << 8) ^ ((uint16_t)x << 3) ^ (x >> 4));
}

/* So that a flood of noise cannot hold the program up: the rest is for the next call. */
#define CHUNKS_PER_CALL 64

/* ---- sending ---- */

typedef struct {
  const mqttsn_port *port;
  uint8_t length;
  uint8_t octets[MQTTSN_LINE_CHUNK];
} chunk;

static void flush(chunk *out) {
  if (out->length > 0) out->port->write(out->port->context, out->octets, out->length);
  out->length = 0;
}

static void put(chunk *out, uint8_t octet) {
  out->octets[out->length++] = octet;
  if (out->length == MQTTSN_LINE_CHUNK) flush(out);
}

/* A message in its parts, as if it were one. */
typedef struct {
  const uint8_t *head;
  const uint8_t *body;
  size_t head_length;
  size_t length;
#if HAS_CRC
  size_t message_length;
  uint8_t crc[CRC_LENGTH];
#endif
} parts;

static uint8_t octet_at(const parts *all, size_t at) {
  if (at < all->head_length) return all->head[at];
#if HAS_CRC
  if (at >= all->message_length) return all->crc[at - all->message_length];
#endif
  return all->body[at - all->head_length];
}

#if HAS_CRC
static void add_crc(parts *all) {
  uint16_t crc = CRC_START;
  size_t at;
  for (at = 0; at < all->length; at++) crc = mqttsn_crc16(crc, octet_at(all, at));
  all->crc[0] = (uint8_t)~crc;
  all->crc[1] = (uint8_t)(~crc >> 8);
  all->length += CRC_LENGTH;
}
#endif

#if IS_SLIP
static void encode(chunk *out, const parts *all) {
  size_t at;
  put(out, SLIP_END); /* ends whatever noise came before */
  for (at = 0; at < all->length; at++) {
    uint8_t octet = octet_at(all, at);
    if (octet == SLIP_END || octet == SLIP_ESC) {
      put(out, SLIP_ESC);
      octet = octet == SLIP_END ? SLIP_ESC_END : SLIP_ESC_ESC;
    }
    put(out, octet);
  }
  put(out, SLIP_END);
}
#elif MQTTSN_FRAMING == MQTTSN_COBS_CRC
static void encode(chunk *out, const parts *all) {
  size_t at = 0;
  bool ended_in_zero = true;
  put(out, 0); /* ends whatever noise came before */
  /* A zero at the very end leaves an empty block behind it. */
  while (at < all->length || ended_in_zero) {
    size_t end = at;
    while (end < all->length && end - at < COBS_BLOCK_MAX && octet_at(all, end) != 0) end++;
    ended_in_zero = end < all->length && end - at < COBS_BLOCK_MAX;
    put(out, (uint8_t)(end - at + 1));
    while (at < end) put(out, octet_at(all, at++));
    if (ended_in_zero) at++;
  }
  put(out, 0);
}
#else
static void encode(chunk *out, const parts *all) {
  size_t at;
  for (at = 0; at < all->length; at++) put(out, octet_at(all, at));
}
#endif

void mqttsn_line_send(void *context, const uint8_t *head, size_t head_length, const uint8_t *body, size_t body_length) {
  const mqttsn_line *line = context;
  chunk out;
  parts all;
  out.port = line->port;
  out.length = 0;
  all.head = head;
  all.body = body;
  all.head_length = head_length;
  all.length = head_length + body_length;
#if HAS_CRC
  all.message_length = all.length;
  add_crc(&all);
#endif
  encode(&out, &all);
  flush(&out);
}

/* ---- receiving ---- */

static void begin(mqttsn_line *line) {
  line->length = 0;
  line->crc = CRC_START;
  line->code = 0;
  line->escaped = false;
  line->spoilt = false;
}

/* How long a message is that begins with these octets; 0: that cannot be told yet; 1: it cannot be one. */
static size_t told_length(const uint8_t *octets, size_t length) {
  size_t told;
  if (length == 0) return 0;
  if (octets[0] != 1) return octets[0] < 2 ? 1 : octets[0];
  if (length < 3) return 0;
  told = ((size_t)octets[1] << 8) | octets[2];
  return told < 4 ? 1 : told;
}

#if MQTTSN_FRAMING == MQTTSN_RAW

#define MESSAGE_TYPE_MAX 0x1d

/* True when the message is whole. */
static bool take(mqttsn_line *line, uint8_t octet) {
  size_t type_at;
  size_t told;
  if (line->spoilt) return false;
  line->buffer[line->length++] = octet;
  type_at = line->buffer[0] == 1 ? 3 : 1;
  told = told_length(line->buffer, line->length);
  if (told == 1 || told > line->capacity || (line->length == type_at + 1 && octet > MESSAGE_TYPE_MAX)) {
    /* Where the next message begins is known after the next gap only. */
    line->errors++;
    line->spoilt = true;
    return false;
  }
  return told == line->length;
}

#else

static void keep(mqttsn_line *line, uint8_t octet) {
  if (line->length == line->capacity) line->spoilt = true;
  if (line->spoilt) return;
  line->buffer[line->length++] = octet;
  line->crc = mqttsn_crc16(line->crc, octet);
}

/* At a delimiter: true when what came since the last one is a message. Nothing at all is no error. */
static bool is_whole(mqttsn_line *line, bool is_cut) {
  bool is_good = !line->spoilt && !is_cut;
  if (line->length == 0 && is_good) return false;
#if HAS_CRC
  if (is_good && (line->length <= CRC_LENGTH || line->crc != CRC_RESIDUE)) is_good = false;
  if (is_good) line->length -= CRC_LENGTH;
#endif
  if (is_good && told_length(line->buffer, line->length) != line->length) is_good = false;
  if (!is_good) line->errors++;
  return is_good;
}

#if IS_SLIP

static bool take(mqttsn_line *line, uint8_t octet) {
  if (octet == SLIP_END) {
    if (is_whole(line, line->escaped)) return true;
    begin(line);
  } else if (line->escaped) {
    line->escaped = false;
    if (octet == SLIP_ESC_END) {
      keep(line, SLIP_END);
    } else if (octet == SLIP_ESC_ESC) {
      keep(line, SLIP_ESC);
    } else {
      line->spoilt = true;
    }
  } else if (octet == SLIP_ESC) {
    line->escaped = true;
  } else {
    keep(line, octet);
  }
  return false;
}

#else

static bool take(mqttsn_line *line, uint8_t octet) {
  if (octet == 0) {
    if (is_whole(line, line->code > 0)) return true;
    begin(line);
  } else if (line->code == 0) {
    /* The block before ends in a zero, unless it was a longest one. */
    if (line->escaped) keep(line, 0);
    line->escaped = octet <= COBS_BLOCK_MAX;
    line->code = (uint8_t)(octet - 1);
  } else {
    line->code--;
    keep(line, octet);
  }
  return false;
}

#endif
#endif

void mqttsn_line_init(mqttsn_line *line, const mqttsn_port *port, uint8_t *buffer, size_t capacity) {
  line->port = port;
  line->buffer = buffer;
  line->capacity = capacity;
  line->last_ms = 0;
  line->errors = 0;
  line->chunk_at = 0;
  line->chunk_length = 0;
  begin(line);
}

/* Fills the chunk; false when nothing is there. */
static bool fill(mqttsn_line *line) {
  const mqttsn_port *port = line->port;
  line->chunk_at = 0;
  line->chunk_length = (uint8_t)port->read(port->context, line->chunk, MQTTSN_LINE_CHUNK);
#if MQTTSN_FRAMING == MQTTSN_RAW
  /*
   * A gap is one that was looked into: when the program was late, what came meanwhile is here now and tells nothing of
   * when it came.
   */
  if (line->chunk_length > 0) {
    line->last_ms = port->now_ms(port->context);
  } else if (mqttsn_line_is_unfinished(line) && port->now_ms(port->context) - line->last_ms >= MQTTSN_RAW_GAP_MS) {
    if (!line->spoilt) line->errors++;
    begin(line);
  }
#endif
  return line->chunk_length > 0;
}

size_t mqttsn_line_receive(void *context, const uint8_t **message) {
  mqttsn_line *line = context;
  size_t length;
  uint8_t chunks = 0;
  for (;;) {
    if (line->chunk_at == line->chunk_length && (chunks++ == CHUNKS_PER_CALL || !fill(line))) return 0;
    if (!take(line, line->chunk[line->chunk_at++])) continue;
    length = line->length;
    begin(line);
    *message = line->buffer;
    return length;
  }
}

bool mqttsn_line_is_unfinished(const mqttsn_line *line) { return line->length > 0 || line->spoilt; }

uint32_t mqttsn_line_now_ms(void *context) {
  const mqttsn_line *line = context;
  return line->port->now_ms(line->port->context);
}
