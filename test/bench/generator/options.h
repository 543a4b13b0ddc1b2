// What a scenario is asked to do; every field is an option of the same name on the command line (see main.c).
#pragma once
#include <stdint.h>

enum { GROUP_NAMES = 100000 }; // numbers of one group, in names of clients and topics

struct options {
  int port;
  const char *path;        // of a Unix socket, instead of the port
  const char *certificate; // and its key, PEM: for a sink with TLS
  const char *key;
  int tls;                 // 12 or 13, for TLS 1.2 or 1.3; 0: none
  int web;                 // 1: WebSocket
  int each;                // 1: each packet is a WebSocket message, or a write of its own; 0: all that is due is one
  int pid;     // of the broker whose CPU time is measured; 0: none
  int version; // 4 (MQTT 3.1.1) or 5
  int qos;
  int publishers, subscribers; // on min(publishers, subscribers) topics
  int payload;                 // bytes
  int window;                  // messages under way per topic
  int warmup_ms, duration_ms;
  int silence_ms;  // nothing has arrived for so long at the end of a run: what is missing is lost
  int rate;        // messages a second in total, for `latency`
  int count;       // connections, subscriptions or messages, for the scenarios that have a fixed number of them
  int sessions;    // that are stored and away, for `stock` and `take`
  int stored;      // 1: the subscribers of `pubsub` and `latency` have stored sessions
  int users;       // 0: no credentials; else clients log in as user0, user1, … in turn, with password0, password1, …
  int group;       // clients and topics of another group have other names, so that two generators may run at once
  int in_progress; // connections that are being opened at the same time
  int spin;        // 1: `pubsub` asks for events all the time instead of sleeping until there are some
  int timeout_s;   // the whole run fails after this long
  // Faults that the sink makes on purpose, each at every so many deliveries; 0: none.
  int drop_every, duplicate_every, swap_every;
};

void run_pubsub(const struct options *options);
void run_latency(const struct options *options);
void run_idle(const struct options *options);
void run_subscriptions(const struct options *options);
void run_retained(const struct options *options);
void run_offline(const struct options *options);
void run_stock(const struct options *options);
void run_take(const struct options *options);
void run_connects(const struct options *options);
void run_sink(const struct options *options);
