/*
 * The client of the firmware with a clock and a line of words: reads commands, prints what the client sends and tells.
 * The test knows what the answers must be; nothing is judged here.
 */
#define _DEFAULT_SOURCE

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../device/firmware/include/mqttsn.h"

#define TOPICS_MAX 16
#define QUEUE_MAX 64
#define MESSAGE_MAX 70000

static uint32_t clock_ms = 0;
static struct {
  uint8_t *octets;
  size_t length;
} queue[QUEUE_MAX];
static size_t queue_from = 0;
static size_t queue_to = 0;
static mqttsn_topic topics[TOPICS_MAX];
static char names[TOPICS_MAX][64];
static size_t topic_count = 0;
static mqttsn_client client;
static mqttsn_config config;
static mqttsn_will will;
static mqttsn_told told[2];
static uint8_t payload[MESSAGE_MAX];

static void print_hex(const uint8_t *octets, size_t length) {
  for (size_t at = 0; at < length; at++) printf("%02x", octets[at]);
}

static size_t read_hex(const char *text, uint8_t *octets) {
  size_t length = strlen(text) / 2;
  for (size_t at = 0; at < length; at++) {
    char two[3] = {text[2 * at], text[2 * at + 1], 0};
    octets[at] = (uint8_t)strtoul(two, NULL, 16);
  }
  return length;
}

static void send_message(void *context, const uint8_t *head, size_t head_length, const uint8_t *body,
                         size_t body_length) {
  (void)context;
  printf("tx ");
  print_hex(head, head_length);
  print_hex(body, body_length);
  putchar('\n');
}

/* Each message in memory of its own, gone with the next call: so that reading past it, or later, is found out. */
static size_t receive_message(void *context, const uint8_t **message) {
  static uint8_t *last = NULL;
  (void)context;
  free(last);
  last = NULL;
  if (queue_from == queue_to) return 0;
  last = queue[queue_from].octets;
  *message = last;
  return queue[queue_from++].length;
}

static uint32_t now(void *context) {
  (void)context;
  return clock_ms;
}

static void on_event(void *context, const mqttsn_event *event) {
  (void)context;
  printf("event %d %u %d %d %d %d %u:%u %s ", (int)event->type, event->code, event->qos, event->retain, event->dup,
         event->about_message, event->topic_type, event->topic_id, event->name != NULL ? event->name : "-");
  print_hex(event->data, event->length);
  putchar('\n');
}

/* "name", "=5" or "~ab". */
static mqttsn_topic *topic(const char *text) {
  for (size_t at = 0; at < topic_count; at++) {
    if (strcmp(names[at], text) == 0) return &topics[at];
  }
  if (topic_count == TOPICS_MAX) exit(3);
  mqttsn_topic *made = &topics[topic_count];
  strcpy(names[topic_count], text);
  memset(made, 0, sizeof *made);
  made->name = names[topic_count++];
  if (text[0] == '=') {
    made->type = MQTTSN_PREDEFINED;
    made->id = (uint16_t)atoi(text + 1);
    made->name = NULL;
  } else if (text[0] == '~') {
    made->type = MQTTSN_SHORT;
    made->id = (uint16_t)(((uint8_t)text[1] << 8) | (uint8_t)text[2]);
    made->name = NULL;
  }
  return made;
}

static void print_result(mqttsn_result result) {
  static const char *const RESULTS[] = {"ok", "busy", "wrong-state", "wrong-argument"};
  printf("= %s\n", RESULTS[result]);
}

static void init(const char *client_id, const char *words) {
  config.transport.send = send_message;
  config.transport.receive = receive_message;
  config.transport.now_ms = now;
  config.client_id = client_id;
  config.on_event = on_event;
  config.clean_session = strstr(words, "clean") != NULL;
  config.told = told;
  config.told_count = 2;
  will.topic = "will/topic";
  will.message = (const uint8_t *)"gone";
  will.message_length = 4;
  will.qos = 1;
  will.retain = true;
  if (strstr(words, "will") != NULL) config.will = &will;
  if (strstr(words, "last-id") != NULL) config.first_message_id = 0xffff;
  print_result(mqttsn_init(&client, &config));
}

int main(void) {
  static char line[2 * MESSAGE_MAX + 100];
  static char a[2 * MESSAGE_MAX], b[80], c[80], d[2 * MESSAGE_MAX], id[80];
  while (fgets(line, sizeof line, stdin) != NULL) {
    char word[32] = "";
    a[0] = b[0] = c[0] = d[0] = 0;
    sscanf(line, "%31s %139999s %79s %79s %139999s", word, a, b, c, d);
    if (strcmp(word, "init") == 0) {
      strcpy(id, strcmp(a, "-") == 0 ? "" : a);
      init(id, line);
    } else if (strcmp(word, "clock") == 0) {
      clock_ms += (uint32_t)strtoul(a, NULL, 10);
    } else if (strcmp(word, "rx") == 0) {
      if (queue_to == QUEUE_MAX) return 3;
      size_t length = strlen(a) / 2;
      queue[queue_to].octets = malloc(length);
      read_hex(a, queue[queue_to].octets);
      queue[queue_to++].length = length;
    } else if (strcmp(word, "poll") == 0) {
      printf("poll %lu\n", (unsigned long)mqttsn_poll(&client));
    } else if (strcmp(word, "state") == 0) {
      printf("state %d %s\n", (int)mqttsn_state_of(&client), mqttsn_is_idle(&client) ? "idle" : "busy");
    } else if (strcmp(word, "connect") == 0) {
      print_result(mqttsn_connect(&client));
    } else if (strcmp(word, "disconnect") == 0) {
      print_result(mqttsn_disconnect(&client));
    } else if (strcmp(word, "sleep") == 0) {
      print_result(mqttsn_sleep(&client, (uint16_t)atoi(a)));
    } else if (strcmp(word, "wake") == 0) {
      print_result(mqttsn_wake(&client));
    } else if (strcmp(word, "register") == 0) {
      print_result(mqttsn_register(&client, topic(a)));
    } else if (strcmp(word, "subscribe") == 0) {
      print_result(mqttsn_subscribe(&client, topic(a), (uint8_t)atoi(b)));
    } else if (strcmp(word, "unsubscribe") == 0) {
      print_result(mqttsn_unsubscribe(&client, topic(a)));
    } else if (strcmp(word, "publish") == 0) {
      size_t length = read_hex(d, payload);
      print_result(mqttsn_publish(&client, topic(a), payload, length, (int8_t)atoi(b), atoi(c) != 0));
    } else {
      return 2;
    }
  }
  while (queue_from < queue_to) free(queue[queue_from++].octets);
  return 0;
}
