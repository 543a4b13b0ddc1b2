#include "traffic.h"
#include "report.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct traffic *running;

static void mark_ready(struct publisher *publisher) {
  if (publisher->ready) return;
  publisher->ready = true;
  publisher->next_ready = running->ready;
  running->ready = publisher;
}

// A number counts as arrived once the subscriber has it or a later one: what was overtaken does not hold the window.
static void advance(struct publisher *publisher, uint32_t from, uint32_t to) {
  if (from < publisher->arrived) from = publisher->arrived;
  for (; from < to; from++) publisher->arrivals[from & publisher->arrivals_mask]++;
  uint32_t before = publisher->arrived;
  while (publisher->arrived < publisher->sent &&
         publisher->arrivals[publisher->arrived & publisher->arrivals_mask] >= publisher->subscribers) {
    publisher->arrived++;
  }
  if (publisher->arrived != before) mark_ready(publisher);
}

static void note_latency(int64_t sent_ns) {
  if (running->latency_count == running->latency_capacity) return;
  running->latencies_ns[running->latency_count++] = (uint32_t)(now_ns() - sent_ns);
}

static void on_message(struct client *client, const struct publish *publish) {
  struct stamp stamp;
  if (publish->payload_length != (uint32_t)running->options->payload) {
    running->totals.misrouted++;
    return;
  }
  memcpy(&stamp, publish->payload, sizeof stamp);
  if (stamp.magic != STAMP_MAGIC || stamp.publisher >= running->publisher_count ||
      stamp.publisher % running->topics != client->index % running->topics) {
    running->totals.misrouted++;
    return;
  }
  struct publisher *publisher = &running->publishers[stamp.publisher];
  if (stamp.sequence >= publisher->sent) {
    running->totals.misrouted++;
    return;
  }
  struct seen *seen = &running->seen[client->index * running->publisher_count + stamp.publisher];
  uint32_t before = seen->next;
  seen_arrived(seen, stamp.sequence, &running->totals);
  if (seen->next != before) advance(publisher, before, seen->next);
  if (running->latencies_ns) note_latency(stamp.time_ns);
}

static void on_acknowledged(struct client *client, uint8_t reason_code) {
  struct publisher *publisher = (struct publisher *)client;
  publisher->acknowledged++;
  if (reason_code >= 0x80) running->refused++;
  mark_ready(publisher);
}

static void on_subscribed(struct client *client, uint8_t reason_code) {
  if (reason_code != running->options->qos) fail("%s: SUBACK with 0x%02x", client->identifier, reason_code);
  running->subscribed++;
}

static const struct client_events publisher_events = {.acknowledged = on_acknowledged};
static const struct client_events subscriber_events = {.message = on_message, .subscribed = on_subscribed};

static uint32_t at_least_one(uint32_t value) { return value ? value : 1; }

static uint32_t at_most(uint32_t value, uint32_t limit) { return value < limit ? value : limit; }

// How many of 0 … count-1 are `index` modulo `topics`.
static uint32_t share(uint32_t count, uint32_t topics, uint32_t index) {
  return count / topics + (index % topics < count % topics ? 1 : 0);
}

static uint32_t topic_number(const struct options *options, uint32_t topic) {
  return (uint32_t)options->group * GROUP_NAMES + topic;
}

static void init_publisher(struct traffic *traffic, uint32_t index) {
  const struct options *options = traffic->options;
  struct publisher *publisher = &traffic->publishers[index];
  client_init(&publisher->client, &publisher_events, index, options->version, "pub");
  char topic_name[32];
  snprintf(topic_name, sizeof topic_name, "bench/%u", topic_number(options, index % traffic->topics));
  publisher->template = make_publish(options->version, topic_name, options->qos, false, (size_t)options->payload);
  publisher->subscribers = share(traffic->subscriber_count, traffic->topics, index);
  // The window belongs to the topic: publishers of one topic share it.
  publisher->window =
      at_least_one((uint32_t)options->window / share(traffic->publisher_count, traffic->topics, index));
  uint32_t slots = 1;
  while (slots < publisher->window) slots *= 2;
  publisher->arrivals = calloc(slots, sizeof *publisher->arrivals);
  publisher->arrivals_mask = slots - 1;
}

void traffic_start(struct traffic *traffic, const struct options *options) {
  memset(traffic, 0, sizeof *traffic);
  running = traffic;
  traffic->options = options;
  uint32_t publishers = traffic->publisher_count = (uint32_t)options->publishers;
  uint32_t subscribers = traffic->subscriber_count = (uint32_t)options->subscribers;
  traffic->topics = publishers < subscribers ? publishers : subscribers;
  traffic->publishers = calloc(publishers, sizeof *traffic->publishers);
  traffic->subscribers = calloc(subscribers, sizeof *traffic->subscribers);
  traffic->seen = calloc((size_t)publishers * subscribers, sizeof *traffic->seen);
  struct client **clients = calloc(publishers + subscribers, sizeof *clients);
  for (uint32_t i = 0; i < publishers; i++) {
    init_publisher(traffic, i);
    clients[i] = &traffic->publishers[i].client;
  }
  for (uint32_t i = 0; i < subscribers; i++) {
    client_init(&traffic->subscribers[i], &subscriber_events, i, options->version, "sub");
    traffic->subscribers[i].clean_start = !options->stored;
    clients[publishers + i] = &traffic->subscribers[i];
  }
  clients_connect(clients, publishers + subscribers, options);
  free(clients);
  for (uint32_t i = 0; i < subscribers; i++) {
    char topic_filter[32];
    snprintf(topic_filter, sizeof topic_filter, "bench/%u", topic_number(options, i % traffic->topics));
    client_subscribe(&traffic->subscribers[i], 1, topic_filter, options->qos);
  }
  while (traffic->subscribed < subscribers) loop_turn(100000000);
  for (uint32_t i = 0; i < publishers; i++) {
    struct publisher *publisher = &traffic->publishers[i];
    publisher->acknowledgement_window = at_most(publisher->window, publisher->client.connack.receive_maximum);
    mark_ready(publisher);
  }
}

uint32_t traffic_room(const struct publisher *publisher, int qos) {
  uint32_t room = publisher->window - at_most(publisher->window, publisher->sent - publisher->arrived);
  if (!qos) return room;
  uint32_t under_way = at_most(publisher->acknowledgement_window, publisher->sent - publisher->acknowledged);
  return at_most(room, publisher->acknowledgement_window - under_way);
}

void traffic_send(struct publisher *publisher, uint32_t count, int qos, int64_t time_ns) {
  const struct publish_template *template = &publisher->template;
  uint8_t *at = link_append(&publisher->client.link, template->length * count);
  for (; count; count--, at += template->length) {
    uint32_t sequence = publisher->sent++;
    publisher->arrivals[sequence & publisher->arrivals_mask] = 0;
    struct stamp stamp = {STAMP_MAGIC, (uint16_t)publisher->client.index, sequence, time_ns};
    memcpy(at, template->bytes, template->length);
    memcpy(at + template->payload_at, &stamp, sizeof stamp);
    // At most the window, 65,535, is under way, so that an identifier is free again before its next turn.
    if (qos) write_uint16(at + template->identifier_at, (uint16_t)(sequence % 65535 + 1));
  }
}

uint64_t traffic_arrived(const struct traffic *traffic) {
  return traffic->totals.delivered - traffic->totals.duplicated;
}

static uint64_t expected(const struct traffic *traffic) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < traffic->publisher_count; i++) {
    sum += (uint64_t)traffic->publishers[i].sent * traffic->publishers[i].subscribers;
  }
  return sum;
}

static uint64_t unacknowledged(const struct traffic *traffic) {
  uint64_t sum = 0;
  if (!traffic->options->qos) return 0;
  for (uint32_t i = 0; i < traffic->publisher_count; i++) {
    sum += traffic->publishers[i].sent - traffic->publishers[i].acknowledged;
  }
  return sum;
}

// A moment in which a duplicate may still show up after everything has arrived.
static const int64_t LINGER_NS = 30000000;

void traffic_drain(struct traffic *traffic) {
  uint64_t all = expected(traffic), before = 0;
  int64_t progress_ns = now_ns();
  while (traffic_arrived(traffic) < all || unacknowledged(traffic)) {
    uint64_t progress = client_packets_received();
    if (progress != before) progress_ns = now_ns();
    before = progress;
    if (now_ns() - progress_ns > traffic->options->silence_ms * (int64_t)1000000) break;
    loop_turn(100000000);
  }
  for (int64_t end_ns = now_ns() + LINGER_NS, left_ns; (left_ns = end_ns - now_ns()) > 0;) loop_turn(left_ns);
}

void traffic_report(const struct traffic *traffic) {
  uint64_t sent = 0, lost = 0;
  for (uint32_t i = 0; i < traffic->publisher_count; i++) sent += traffic->publishers[i].sent;
  for (uint32_t s = 0; s < traffic->subscriber_count; s++) {
    for (uint32_t p = s % traffic->topics; p < traffic->publisher_count; p += traffic->topics) {
      lost += seen_lost(&traffic->seen[s * traffic->publisher_count + p], traffic->publishers[p].sent);
    }
  }
  report_count("sent", (int64_t)sent);
  report_count("expected", (int64_t)expected(traffic));
  report_count("delivered", (int64_t)traffic->totals.delivered);
  report_count("lost", (int64_t)lost);
  report_count("duplicated", (int64_t)traffic->totals.duplicated);
  report_count("reordered", (int64_t)traffic->totals.reordered);
  report_count("misrouted", (int64_t)traffic->totals.misrouted);
  report_count("refused", (int64_t)traffic->refused);
  report_count("unacknowledged", (int64_t)unacknowledged(traffic));
}

void traffic_stop(struct traffic *traffic) {
  for (uint32_t i = 0; i < traffic->publisher_count; i++) client_disconnect(&traffic->publishers[i].client);
  for (uint32_t i = 0; i < traffic->subscriber_count; i++) client_disconnect(&traffic->subscribers[i]);
}

void traffic_forget(struct traffic *traffic) {
  for (uint32_t i = 0; i < traffic->publisher_count; i++) {
    traffic->publishers[i].arrived = traffic->publishers[i].sent;
    mark_ready(&traffic->publishers[i]);
  }
}
