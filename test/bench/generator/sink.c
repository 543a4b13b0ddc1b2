// The generator as a server that does as little as possible: it acknowledges, and hands whole runs of packets on to
// whoever subscribed to exactly their topic. What it reaches is what the generator can drive. It can also lose,
// duplicate and swap packets on purpose, and tells how many, which proves the generator's accounts.
#include "link.h"
#include "options.h"
#include "report.h"
#include "wire.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct peer {
  struct link link; // first
  uint8_t version;
  struct topic *last; // the topic of its last PUBLISH
  uint8_t *held;      // a packet that waits to be overtaken by the next
  size_t held_length;
};

struct topic {
  struct topic *next;
  uint8_t *name;
  size_t length;
  struct peer **subscribers;
  uint32_t count;
};

static struct topic *topics;
static const struct options *asked;
static int64_t deliveries, dropped, duplicated, swapped;
static volatile sig_atomic_t stopping;

static struct topic *topic_of(const uint8_t *name, size_t length) {
  for (struct topic *topic = topics; topic; topic = topic->next) {
    if (topic->length == length && !memcmp(topic->name, name, length)) return topic;
  }
  struct topic *topic = calloc(1, sizeof *topic);
  topic->name = malloc(length);
  memcpy(topic->name, name, length);
  topic->length = length;
  topic->next = topics;
  topics = topic;
  return topic;
}

static void append(struct peer *to, const uint8_t *bytes, size_t length) {
  memcpy(link_append(&to->link, length), bytes, length);
}

static bool falls_on(int every) { return every && deliveries % every == 0; }

static void deliver_with_faults(struct peer *to, const uint8_t *packet, size_t length) {
  deliveries++;
  if (falls_on(asked->drop_every)) {
    dropped++;
    return;
  }
  if (falls_on(asked->swap_every) && !to->held) {
    to->held = malloc(length);
    to->held_length = length;
    memcpy(to->held, packet, length);
    return;
  }
  append(to, packet, length);
  if (falls_on(asked->duplicate_every)) {
    duplicated++;
    append(to, packet, length);
  }
  if (to->held) {
    append(to, to->held, to->held_length);
    free(to->held);
    to->held = NULL;
    swapped++;
  }
}

static bool faulty(void) { return asked->drop_every || asked->duplicate_every || asked->swap_every; }

// Hands on a run of whole packets of one topic.
static void forward(const struct topic *topic, const uint8_t *bytes, size_t length) {
  for (uint32_t i = 0; i < topic->count; i++) {
    struct peer *to = topic->subscribers[i];
    if (to->link.fd < 0) continue;
    if (!faulty()) {
      link_send(&to->link, bytes, length);
      continue;
    }
    struct frame frame;
    for (size_t at = 0, size; at < length; at += size) {
      size = read_frame(bytes + at, bytes + length, &frame);
      deliver_with_faults(to, bytes + at, size);
    }
  }
}

static void on_subscribe(struct peer *peer, const struct frame *frame) {
  const uint8_t *filter = frame->body + (peer->version == 5 ? 3 : 2);
  struct topic *topic = topic_of(filter + 2, read_uint16(filter));
  topic->subscribers = realloc(topic->subscribers, (topic->count + 1) * sizeof *topic->subscribers);
  topic->subscribers[topic->count++] = peer;
  uint8_t v5[] = {SUBACK << 4, 4, frame->body[0], frame->body[1], 0, frame->end[-1]};
  uint8_t v4[] = {SUBACK << 4, 3, frame->body[0], frame->body[1], frame->end[-1]};
  append(peer, peer->version == 5 ? v5 : v4, peer->version == 5 ? sizeof v5 : sizeof v4);
}

static void on_connect(struct peer *peer, const struct frame *frame) {
  peer->version = frame->body[6];
  const uint8_t connack[] = {CONNACK << 4, peer->version == 5 ? 3 : 2, 0, 0, 0};
  append(peer, connack, 2u + connack[1]);
}

static void answer(struct peer *peer, const struct frame *frame) {
  static const uint8_t reply[16] = {[PUBREC] = PUBREL, [PUBREL] = PUBCOMP};
  int type = frame->header >> 4;
  if (type == CONNECT) on_connect(peer, frame);
  if (type == SUBSCRIBE) on_subscribe(peer, frame);
  if (reply[type]) write_ack(link_append(&peer->link, 4), reply[type], read_uint16(frame->body));
}

// Takes note of a PUBLISH and returns its topic.
static struct topic *on_publish(struct peer *peer, const struct frame *frame) {
  size_t length = read_uint16(frame->body);
  const uint8_t *name = frame->body + 2;
  int qos = frame->header >> 1 & 3;
  if (qos) write_ack(link_append(&peer->link, 4), qos == 1 ? PUBACK : PUBREC, read_uint16(name + length));
  struct topic *last = peer->last;
  if (!last || last->length != length || memcmp(last->name, name, length)) peer->last = topic_of(name, length);
  return peer->last;
}

static size_t on_bytes(struct link *link, const uint8_t *bytes, size_t length) {
  struct peer *peer = (struct peer *)link;
  const uint8_t *at = bytes, *end = bytes + length, *run = bytes;
  struct topic *topic = NULL; // of the run from `run` to `at`
  struct frame frame;
  for (size_t size; (size = read_frame(at, end, &frame)) != 0; at += size) {
    struct topic *of = frame.header >> 4 == PUBLISH ? on_publish(peer, &frame) : NULL;
    if (!of) answer(peer, &frame);
    if (of == topic) continue;
    if (topic) forward(topic, run, (size_t)(at - run));
    topic = of;
    run = at;
  }
  if (topic) forward(topic, run, (size_t)(at - run));
  return (size_t)(at - bytes);
}

static void on_accept(struct link *listener, int fd) {
  (void)listener;
  // Peers are few and the process is short: they are not freed, since topics point to them.
  struct peer *peer = calloc(1, sizeof *peer);
  peer->version = 4;
  peer->link.on_bytes = on_bytes;
  link_adopt(&peer->link, fd);
}

static void on_signal(int signal) {
  (void)signal;
  stopping = 1;
}

void run_sink(const struct options *options) {
  static struct link listener = {.on_accept = on_accept};
  asked = options;
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGTERM, &action, NULL);
  link_listen(&listener);
  report_begin("listening");
  report_count("port", link_local_port(&listener));
  report_end();
  while (!stopping) loop_turn(100000000);
  for (struct topic *topic = topics; topic; topic = topic->next) {
    // A held packet that nothing overtook was never sent.
    for (uint32_t i = 0; i < topic->count; i++) dropped += topic->subscribers[i]->held != NULL;
  }
  report_begin("result");
  report_count("dropped", dropped);
  report_count("duplicated", duplicated);
  report_count("swapped", swapped);
  report_end();
}
