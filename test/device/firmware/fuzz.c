/*
 * Random and mutated octets into the receive path, with random calls in between, for so many milliseconds: `fuzz SEED
 * MS`. What goes wrong is found by the sanitizers; what must always hold is checked here.
 */
#define _DEFAULT_SOURCE

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../../device/firmware/include/mqttsn-line.h"
#include "../../../device/firmware/include/mqttsn.h"

#define TOPICS 6
#define INCOMING_MAX 4096
#define MESSAGE_MAX 300

static uint32_t seed;
static uint32_t virtual_ms = 0xfffff000u; /* wraps around soon */
static uint8_t incoming[INCOMING_MAX];
static size_t incoming_at = 0;
static size_t incoming_length = 0;
static unsigned long messages = 0;
static unsigned long connections = 0;
static mqttsn_client client;
static mqttsn_topic topics[TOPICS] = {
    MQTTSN_TOPIC("a"), MQTTSN_TOPIC("b/c"), MQTTSN_TOPIC("d/+"), MQTTSN_PREDEFINED_TOPIC(7), MQTTSN_SHORT_TOPIC('x', 'y'),
    MQTTSN_TOPIC("e"),
};

static uint32_t chance(uint32_t below) {
  seed ^= seed << 13;
  seed ^= seed >> 17;
  seed ^= seed << 5;
  return seed % below;
}

static void fail(const char *what) {
  printf("FAILED: %s\n", what);
  exit(1);
}

/* Writing goes nowhere, but every octet is looked at. */
static void write_octets(void *context, const uint8_t *octets, size_t length) {
  static volatile uint8_t sum;
  (void)context;
  if (length == 0) fail("nothing was written");
  for (size_t at = 0; at < length; at++) sum = (uint8_t)(sum + octets[at]);
}

static size_t read_octets(void *context, uint8_t *octets, size_t capacity) {
  size_t length = incoming_length - incoming_at;
  (void)context;
  if (length > capacity) length = capacity;
  memcpy(octets, incoming + incoming_at, length);
  incoming_at += length;
  return length;
}

static uint32_t now(void *context) {
  (void)context;
  return virtual_ms;
}

static void call_something(void) {
  static uint8_t data[MESSAGE_MAX];
  mqttsn_topic *topic = &topics[chance(TOPICS)];
  switch (chance(10)) {
    case 0:
      mqttsn_connect(&client);
      break;
    case 1:
      if (chance(8) == 0) mqttsn_disconnect(&client);
      break;
    case 2:
      mqttsn_sleep(&client, (uint16_t)chance(100));
      break;
    case 3:
      mqttsn_wake(&client);
      break;
    case 4:
      mqttsn_subscribe(&client, topic, (uint8_t)chance(4));
      break;
    case 5:
      mqttsn_unsubscribe(&client, topic);
      break;
    case 6:
      mqttsn_register(&client, topic);
      break;
    default:
      mqttsn_publish(&client, topic, data, chance(MESSAGE_MAX), (int8_t)((int)chance(5) - 1), chance(2) == 0);
      break;
  }
}

static void on_event(void *context, const mqttsn_event *event) {
  static volatile uint8_t sum;
  (void)context;
  if (event->type == MQTTSN_CONNECTED) connections++;
  if (event->type == MQTTSN_MESSAGE) {
    messages++;
    if (event->topic_type == MQTTSN_NORMAL && event->name == NULL) fail("a message without a name");
    for (size_t at = 0; at < event->length; at++) sum = (uint8_t)(sum + event->data[at]);
  }
  if (event->name != NULL && strlen(event->name) > MQTTSN_NAME_MAX) fail("a name that is too long");
  if (chance(4) == 0) call_something();
}

/* What a gateway might say, with the identifiers that are likely to mean something now. */
static size_t message(uint8_t *to) {
  static const uint8_t TYPES[] = {0x05, 0x05, 0x06, 0x08, 0x0a, 0x0b, 0x0c, 0x0c, 0x0d, 0x0e, 0x0f,
                                  0x10, 0x13, 0x15, 0x16, 0x17, 0x18, 0x00, 0x04, 0x12};
  static const uint8_t SIZES[0x20] = {[0x05] = 1, [0x0a] = 4, [0x0b] = 5, [0x0c] = 5, [0x0d] = 5, [0x0e] = 2,
                                      [0x0f] = 2, [0x10] = 2, [0x13] = 6, [0x15] = 2};
  uint8_t type = TYPES[chance(sizeof TYPES)];
  size_t length = 2u + SIZES[type];
  uint16_t id = (uint16_t)(client.next_id - 1 - chance(3));
  to[1] = type;
  for (size_t at = 2; at < length; at++) to[at] = chance(3) == 0 ? (uint8_t)chance(256) : 0;
  if (type == 0x05) to[2] = chance(10) == 0 ? (uint8_t)chance(5) : 0;
  if (type == 0x0c) {
    to[2] = (uint8_t)(chance(4) == 0 ? chance(256) : (chance(4) << 5));
    to[4] = (uint8_t)chance(5);
    to[6] = (uint8_t)chance(6);
  }
  if (type == 0x0a) to[3] = (uint8_t)chance(5);
  if (type == 0x0b || type == 0x0d) {
    to[3] = (uint8_t)chance(5);
    to[4] = (uint8_t)(id >> 8);
    to[5] = (uint8_t)id;
    to[6] = (uint8_t)chance(4);
  }
  if (type == 0x13) {
    to[4] = (uint8_t)chance(5);
    to[5] = (uint8_t)(id >> 8);
    to[6] = (uint8_t)id;
    to[7] = (uint8_t)chance(4);
  }
  if (type == 0x0e || type == 0x0f || type == 0x15) {
    to[2] = (uint8_t)(id >> 8);
    to[3] = (uint8_t)id;
  }
  if (type == 0x0a) {
    to[length++] = (uint8_t)('a' + chance(5));
    for (uint32_t more = chance(40); chance(2) == 0 && more > 0; more--) to[length++] = 'n';
  }
  if (type == 0x0c) {
    for (uint32_t more = chance(60); more > 0; more--) to[length++] = (uint8_t)chance(256);
  }
  to[0] = (uint8_t)length;
  return length;
}

/* The line's own sending side frames what is to be received. */
static void frame_octets(void *context, const uint8_t *octets, size_t length) {
  (void)context;
  if (incoming_length + length > INCOMING_MAX) return;
  memcpy(incoming + incoming_length, octets, length);
  incoming_length += length;
}

static void fill_incoming(void) {
  static const mqttsn_port FRAMER = {NULL, frame_octets, read_octets, now};
  static uint8_t unused[2];
  mqttsn_line framer;
  uint8_t text[MESSAGE_MAX];
  mqttsn_line_init(&framer, &FRAMER, unused, sizeof unused);
  incoming_at = 0;
  incoming_length = 0;
  for (uint32_t count = chance(6); count > 0; count--) {
    size_t length = message(text);
    if (chance(12) == 0) text[chance((uint32_t)length)] = (uint8_t)chance(256);
    mqttsn_line_send(&framer, text, length, NULL, 0);
  }
  if (chance(8) == 0) {
    for (uint32_t count = chance(600); count > 0; count--) {
      uint8_t octet = (uint8_t)chance(256);
      frame_octets(NULL, &octet, 1);
    }
  }
  for (uint32_t count = chance(8) == 0 ? chance(6) : 0; count > 0 && incoming_length > 1; count--) {
    size_t at = chance((uint32_t)incoming_length);
    if (chance(2) == 0) {
      incoming[at] ^= (uint8_t)(1u << chance(8));
    } else {
      memmove(incoming + at, incoming + at + 1, --incoming_length - at);
    }
  }
}

int main(int count, char **words) {
  static const mqttsn_port PORT = {NULL, write_octets, read_octets, now};
  static mqttsn_line line;
  static mqttsn_told told[2];
  static mqttsn_config config;
  static mqttsn_will will = {"w", (const uint8_t *)"m", 1, 1, false};
  uint8_t *buffer = malloc(128);
  unsigned long rounds = 0;
  clock_t end;
  if (count != 3 || buffer == NULL) return 2;
  seed = (uint32_t)strtoul(words[1], NULL, 10) | 1u;
  end = clock() + (clock_t)strtol(words[2], NULL, 10) * (CLOCKS_PER_SEC / 1000);
  mqttsn_line_init(&line, &PORT, buffer, 128);
  config.transport.context = &line;
  config.transport.send = mqttsn_line_send;
  config.transport.receive = mqttsn_line_receive;
  config.transport.now_ms = mqttsn_line_now_ms;
  config.client_id = "fuzzed";
  config.will = &will;
  config.told = told;
  config.told_count = 2;
  config.on_event = on_event;
  if (mqttsn_init(&client, &config) != MQTTSN_OK) return 2;
  while (clock() < end) {
    rounds++;
    fill_incoming();
    if (chance(3) == 0) call_something();
    while (incoming_at < incoming_length) mqttsn_poll(&client);
    mqttsn_poll(&client);
    virtual_ms += chance(20) == 0 ? chance(20000) : chance(50);
    if (mqttsn_state_of(&client) > MQTTSN_STATE_LEAVING) fail("a state that does not exist");
  }
  free(buffer);
  printf("%lu rounds, %lu messages, %lu connections\n", rounds, messages, connections);
  return 0;
}
