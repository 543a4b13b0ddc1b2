// Publishers and subscribers on topics "bench/0", "bench/1", …: publisher i and subscriber j are on topic i or j modulo
// the number of topics, which is the smaller of both counts. So 10 -> 10 is ten pairs, 1 -> 100 a fan-out.
#pragma once
#include "account.h"
#include "client.h"

struct publisher {
  struct client client; // first
  struct publish_template template;
  uint32_t sent;         // the next sequence number
  uint32_t acknowledged; // at QoS 1 and 2
  uint32_t arrived;      // every number below has reached all subscribers
  uint32_t window, acknowledgement_window;
  uint32_t subscribers;     // of its topic
  uint32_t *arrivals;       // of each number from `arrived` on: how many subscribers have it
  uint32_t arrivals_mask;
  bool ready;               // on the list of those whose window has opened
  struct publisher *next_ready;
};

struct traffic {
  const struct options *options;
  struct publisher *publishers;
  struct client *subscribers;
  uint32_t publisher_count, subscriber_count, topics;
  struct seen *seen; // [subscriber][publisher]
  struct totals totals;
  struct publisher *ready;
  uint64_t refused; // acknowledged with a reason code of 0x80 or more
  uint64_t subscribed;
  uint32_t *latencies_ns; // of what has arrived; NULL when nobody asks
  uint32_t latency_count, latency_capacity;
};

// Connects and subscribes all.
void traffic_start(struct traffic *traffic, const struct options *options);
// How many messages the publisher may send now.
uint32_t traffic_room(const struct publisher *publisher, int qos);
// Appends the next `count` messages of this publisher.
void traffic_send(struct publisher *publisher, uint32_t count, int qos, int64_t time_ns);
// Messages that arrived, each once.
uint64_t traffic_arrived(const struct traffic *traffic);
// Waits until everything has arrived and is acknowledged, or nothing has come for a while.
void traffic_drain(struct traffic *traffic);
// Reports sent, expected, delivered, lost, duplicated, reordered, misrouted, refused and unacknowledged.
void traffic_report(const struct traffic *traffic);
void traffic_stop(struct traffic *traffic);
// Gives up the messages under way, when those that were lost would keep the windows closed for ever.
void traffic_forget(struct traffic *traffic);
