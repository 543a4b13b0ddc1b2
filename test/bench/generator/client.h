// One MQTT client: connects, subscribes, and acknowledges what arrives.
#pragma once
#include "link.h"
#include "options.h"
#include "wire.h"

struct client;

// What a scenario wants to know. Every entry but `gone` may be NULL.
struct client_events {
  void (*connected)(struct client *); // it has its CONNACK
  void (*message)(struct client *, const struct publish *);
  // PUBACK, or PUBCOMP, or a PUBREC that refuses: the message is no longer under way.
  void (*acknowledged)(struct client *, uint8_t reason_code);
  void (*subscribed)(struct client *, uint8_t reason_code);
  void (*pong)(struct client *);
  // The broker closed or refused the connection. NULL: the run fails.
  void (*gone)(struct client *, const char *why);
};

struct client {
  struct link link; // first: a link is cast to its client
  const struct client_events *events;
  uint32_t index; // among the scenario's clients of its kind
  uint8_t version;
  bool clean_start, connected;
  char identifier[24];
  struct connack connack;
};

// Of all clients: as long as it grows, the broker is at work.
uint64_t client_packets_received(void);

void client_init(struct client *client, const struct client_events *events, uint32_t index, int version,
                 const char *kind);

// Names of the clients that follow begin at another number: two generators may serve one broker at once.
void client_group(int group);

// Starts the connection of a client that is new or closed, from 127.0.0.(1 + source).
void client_connect(struct client *client, int source);
// Connects all, at most `in_progress` at the same time, and returns when each has its CONNACK or is gone.
void clients_connect(struct client **clients, uint32_t count, const struct options *options);
void client_subscribe(struct client *client, uint16_t packet_identifier, const char *topic_filter, int qos);
// Sends DISCONNECT after everything pending, and closes.
void client_disconnect(struct client *client);
