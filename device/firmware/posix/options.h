/* The command line of the node. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "../include/mqttsn.h"

#define SUBSCRIPTIONS_MAX 8
#define PAYLOAD_MAX 1024

typedef struct {
  const char *device; /* or NULL: then UDP */
  char host[256];
  char port[8];
  const char *client_id;
  mqttsn_will will; /* topic NULL: none */
  mqttsn_topic publish;
  const char *payload;
  mqttsn_topic subscriptions[SUBSCRIPTIONS_MAX];
  uint8_t subscription_count;
  bool publishes;
  bool clean;
  bool retain;
  long baud;
  long keep_alive_seconds;
  long retry_ms;
  long retries;
  long wait_ms;
  long reconnect_ms;
  long will_qos;
  long qos;
  long each_ms;
  long count; /* 0: without end */
  long size;
  long subscribe_qos;
  long sleep_seconds; /* 0: stays awake */
  long wake_ms;
  long linger_ms;
  long for_ms; /* 0: until a signal */
} options;

/* Reads the command line; prints what is wrong, and the whole usage for --help. False when the program must end. */
bool options_read(options *read, int count, char **words);

#endif
