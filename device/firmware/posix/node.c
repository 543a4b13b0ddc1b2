/* A node on a PC: what a sensor's program does, driven by the command line, with one line of JSON for each event. */
#define _DEFAULT_SOURCE

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "../include/mqttsn-line.h"
#include "clock.h"
#include "options.h"
#include "tty.h"
#include "udp.h"

#define TOLD_MAX 16
#define LINE_BUFFER (UDP_MESSAGE_MAX + 2)
/* How long a line that vanished, or a signal that came between looking and waiting, may stay unnoticed. */
#define WATCH_MS 100

typedef struct {
  options wanted;
  mqttsn_config config;
  mqttsn_client client;
  mqttsn_told told[TOLD_MAX];
  tty serial;
  mqttsn_line line;
  uint8_t buffer[LINE_BUFFER];
  udp socket;
  char data[PAYLOAD_MAX + 1];
  size_t data_length;
  uint32_t started_ms;
  uint32_t published; /* messages that were handed to the library */
  uint32_t publish_ms;
  uint32_t event_ms; /* of the last one */
  uint32_t slept_ms;
  bool begun; /* the line was there once */
  bool in_flight;
  bool ending;
  bool ended;
} node;

static volatile sig_atomic_t told_to_stop = 0;

static void on_signal(int number) {
  (void)number;
  told_to_stop = 1;
}

static uint32_t now_ms(void *context) {
  (void)context;
  return clock_ms();
}

/* ---- JSON ---- */

/* Octets as characters U+0000 to U+00FF, so that nothing gets lost. */
static void print_octets(const char *key, const uint8_t *octets, size_t length) {
  size_t at;
  printf(",\"%s\":\"", key);
  for (at = 0; at < length; at++) {
    if (octets[at] == '"' || octets[at] == '\\') {
      printf("\\%c", octets[at]);
    } else if (octets[at] >= 0x20 && octets[at] < 0x7f) {
      putchar(octets[at]);
    } else {
      printf("\\u%04x", octets[at]);
    }
  }
  putchar('"');
}

static void print_begin(const node *self, const char *name) {
  printf("{\"ms\":%lu,\"event\":\"%s\"", (unsigned long)(clock_ms() - self->started_ms), name);
}

static void print_end(void) {
  puts("}");
  fflush(stdout);
}

static void print_event(const node *self, const char *name) {
  print_begin(self, name);
  print_end();
}

/* A topic as the command line has it. */
static void print_topic(const mqttsn_event *event) {
  char text[8];
  if (event->name != NULL) {
    print_octets("topic", (const uint8_t *)event->name, strlen(event->name));
    return;
  }
  if (event->topic_type == MQTTSN_SHORT) {
    text[0] = '~';
    text[1] = (char)(event->topic_id >> 8);
    text[2] = (char)(event->topic_id & 0xff);
    print_octets("topic", (const uint8_t *)text, 3);
  } else {
    snprintf(text, sizeof text, "=%u", (unsigned)event->topic_id);
    print_octets("topic", (const uint8_t *)text, strlen(text));
  }
}

static const char *const NAMES[] = {
    [MQTTSN_CONNECTED] = "connected",     [MQTTSN_REFUSED] = "refused",
    [MQTTSN_UNANSWERED] = "unanswered",   [MQTTSN_LOST] = "lost",
    [MQTTSN_DISCONNECTED] = "goodbye",    [MQTTSN_ASLEEP] = "asleep",
    [MQTTSN_REGISTERED] = "registered",   [MQTTSN_SUBSCRIBED] = "subscribed",
    [MQTTSN_UNSUBSCRIBED] = "unsubscribed", [MQTTSN_PUBLISHED] = "published",
    [MQTTSN_FAILED] = "failed",           [MQTTSN_MESSAGE] = "message",
};

static void on_event(void *context, const mqttsn_event *event) {
  node *self = context;
  bool is_message = event->type == MQTTSN_MESSAGE;
  self->event_ms = clock_ms();
  print_begin(self, NAMES[event->type]);
  if (event->type == MQTTSN_REFUSED || event->type == MQTTSN_FAILED) printf(",\"code\":%u", event->code);
  if (event->type == MQTTSN_LOST) printf(",\"by\":\"%s\"", event->code == 0 ? "gateway" : "silence");
  if (event->topic != NULL || is_message) print_topic(event);
  if (event->type == MQTTSN_SUBSCRIBED || is_message) printf(",\"qos\":%d", event->qos == 3 ? -1 : event->qos);
  if (is_message) {
    printf(",\"retain\":%s,\"dup\":%s", event->retain ? "true" : "false", event->dup ? "true" : "false");
  }
  if (is_message || event->type == MQTTSN_PUBLISHED) print_octets("data", event->data, event->length);
  print_end();

  if (event->type == MQTTSN_PUBLISHED || (event->type == MQTTSN_FAILED && event->about_message)) {
    self->in_flight = false;
  }
  if (event->type == MQTTSN_ASLEEP) self->slept_ms = clock_ms();
  if (event->type == MQTTSN_DISCONNECTED) self->ended = true;
}

/* ---- what the node does ---- */

static bool connects(const node *self) {
  return self->wanted.qos >= 0 || self->wanted.subscription_count > 0 || self->wanted.sleep_seconds > 0;
}

static bool has_more(const node *self) {
  return self->wanted.publishes && (self->wanted.count == 0 || self->published < (unsigned long)self->wanted.count);
}

static bool is_past(uint32_t due_ms) { return clock_ms() - due_ms < 0x80000000u; }

static bool is_publish_due(const node *self) {
  return has_more(self) && !self->in_flight && !self->ending && is_past(self->publish_ms);
}

static void publish(node *self) {
  const options *wanted = &self->wanted;
  int length = snprintf(self->data, sizeof self->data, "%s%lu", wanted->payload, (unsigned long)self->published + 1);
  mqttsn_result result;
  self->data_length = (size_t)length;
  while (self->data_length < (size_t)wanted->size) self->data[self->data_length++] = '.';
  /* A message of QoS 0 whose topic has no id yet waits inside the library; then `published` is told. */
  self->in_flight =
      wanted->qos > 0 || (wanted->qos == 0 && wanted->publish.type == MQTTSN_NORMAL && wanted->publish.id == 0);
  result = mqttsn_publish(&self->client, &self->wanted.publish, (const uint8_t *)self->data, self->data_length,
                          (int8_t)wanted->qos, wanted->retain);
  if (result == MQTTSN_OK) {
    self->published++;
    self->publish_ms = clock_ms() + (uint32_t)wanted->each_ms;
    self->event_ms = clock_ms();
    return;
  }
  self->in_flight = false;
  self->publish_ms = clock_ms() + 50;
  if (result == MQTTSN_WRONG_ARGUMENT) {
    print_event(self, "wrong-argument");
    self->ending = true;
  }
}

static void say_goodbye(node *self) {
  if (mqttsn_disconnect(&self->client) == MQTTSN_WRONG_STATE &&
      mqttsn_state_of(&self->client) == MQTTSN_STATE_DISCONNECTED) {
    self->ended = true;
  }
}

static bool is_done(const node *self) {
  const options *wanted = &self->wanted;
  if (told_to_stop || (wanted->for_ms > 0 && is_past(self->started_ms + (uint32_t)wanted->for_ms))) return true;
  return wanted->publishes && !has_more(self) && !self->in_flight && wanted->subscription_count == 0;
}

static void act(node *self) {
  const options *wanted = &self->wanted;
  mqttsn_state state = mqttsn_state_of(&self->client);
  if (is_done(self)) self->ending = true;
  if (self->ending) {
    if (state != MQTTSN_STATE_LEAVING) say_goodbye(self);
    return;
  }
  if (state == MQTTSN_STATE_ASLEEP) {
    if (!is_past(self->slept_ms + (uint32_t)wanted->wake_ms)) return;
    if (is_publish_due(self) && wanted->qos >= 0) {
      mqttsn_connect(&self->client);
    } else {
      mqttsn_wake(&self->client);
    }
    return;
  }
  if (is_publish_due(self)) publish(self);
  if (state == MQTTSN_STATE_ACTIVE && wanted->sleep_seconds > 0 && !is_publish_due(self) &&
      is_past(self->event_ms + (uint32_t)wanted->linger_ms)) {
    mqttsn_sleep(&self->client, (uint16_t)wanted->sleep_seconds);
  }
}

static void at_most(uint32_t *wait_ms, uint32_t due_ms) {
  uint32_t left = is_past(due_ms) ? 0 : due_ms - clock_ms();
  if (left < *wait_ms) *wait_ms = left;
}

/* How long there is nothing to do unless something comes. */
static uint32_t idle_ms(const node *self, uint32_t wait_ms) {
  const options *wanted = &self->wanted;
  mqttsn_state state = mqttsn_state_of(&self->client);
  if (!self->ending && is_done(self)) return 0;
  if (wait_ms > WATCH_MS) wait_ms = WATCH_MS;
  if (wait_ms > MQTTSN_RAW_GAP_MS && wanted->device != NULL && mqttsn_line_is_unfinished(&self->line)) {
    wait_ms = MQTTSN_RAW_GAP_MS;
  }
  if (wanted->for_ms > 0 && !self->ending) at_most(&wait_ms, self->started_ms + (uint32_t)wanted->for_ms);
  if (state == MQTTSN_STATE_ASLEEP) {
    at_most(&wait_ms, self->slept_ms + (uint32_t)wanted->wake_ms);
  } else if (state == MQTTSN_STATE_ACTIVE || !connects(self)) {
    if (has_more(self) && !self->in_flight) at_most(&wait_ms, self->publish_ms);
    if (wanted->sleep_seconds > 0 && !is_past(self->event_ms + (uint32_t)wanted->linger_ms)) {
      at_most(&wait_ms, self->event_ms + (uint32_t)wanted->linger_ms);
    }
  }
  return wait_ms;
}

static void keep_line(node *self) {
  int change = tty_keep_open(&self->serial, clock_ms());
  if (change > 0) {
    print_event(self, "line-up");
    /* What is said to a line that is not there yet is lost, and would be said again only after T_retry. */
    if (!self->begun && connects(self)) mqttsn_connect(&self->client);
    self->begun = true;
  }
  if (change < 0) print_event(self, "line-down");
}

static void run(node *self) {
  while (!self->ended) {
    struct pollfd here;
    uint32_t wait_ms;
    if (self->wanted.device != NULL) keep_line(self);
    act(self);
    wait_ms = idle_ms(self, mqttsn_poll(&self->client));
    here.fd = self->wanted.device != NULL ? self->serial.fd : self->socket.fd;
    here.events = POLLIN;
    here.revents = 0;
    if (!self->ended) poll(&here, here.fd >= 0 ? 1 : 0, (int)wait_ms);
  }
}

static bool prepare(node *self) {
  const options *wanted = &self->wanted;
  mqttsn_config *config = &self->config;
  uint8_t at;
  config->transport.now_ms = now_ms;
  if (wanted->device != NULL) {
    tty_init(&self->serial, wanted->device, wanted->baud);
    mqttsn_line_init(&self->line, &self->serial.port, self->buffer, sizeof self->buffer);
    config->transport.context = &self->line;
    config->transport.send = mqttsn_line_send;
    config->transport.receive = mqttsn_line_receive;
  } else {
    if (!udp_open(&self->socket, wanted->host, wanted->port)) {
      fprintf(stderr, "--udp: %s port %s is not found\n", wanted->host, wanted->port);
      return false;
    }
    config->transport.context = &self->socket;
    config->transport.send = udp_send;
    config->transport.receive = udp_receive;
  }
  config->client_id = wanted->client_id;
  config->keep_alive_seconds = (uint16_t)wanted->keep_alive_seconds;
  config->clean_session = wanted->clean;
  config->will = wanted->will.topic != NULL ? &wanted->will : NULL;
  config->retry_ms = (uint32_t)wanted->retry_ms;
  config->retries = (uint8_t)wanted->retries;
  config->wait_ms = (uint32_t)wanted->wait_ms;
  config->reconnect_ms = (uint32_t)wanted->reconnect_ms;
  /* Another one each time the program starts, so that a session that outlived it is not confused. */
  config->first_message_id = (uint16_t)(clock_ms() & 0xffff);
  config->told = self->told;
  config->told_count = TOLD_MAX;
  config->on_event = on_event;
  config->event_context = self;
  if (mqttsn_init(&self->client, config) != MQTTSN_OK) {
    fprintf(stderr, "--id: \"%s\" is not 1 to %d octets long\n", wanted->client_id, MQTTSN_CLIENT_ID_MAX);
    return false;
  }
  for (at = 0; at < wanted->subscription_count; at++) {
    mqttsn_subscribe(&self->client, &self->wanted.subscriptions[at], (uint8_t)wanted->subscribe_qos);
  }
  return true;
}

int main(int count, char **words) {
  static node self;
  if (!options_read(&self.wanted, count, words)) return count == 2 && strcmp(words[1], "--help") == 0 ? 0 : 2;
  self.started_ms = clock_ms();
  self.publish_ms = self.started_ms;
  self.event_ms = self.started_ms;
  if (!prepare(&self)) return 2;
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
  signal(SIGPIPE, SIG_IGN);
  if (connects(&self) && self.wanted.device == NULL) mqttsn_connect(&self.client);
  run(&self);
  return 0;
}
