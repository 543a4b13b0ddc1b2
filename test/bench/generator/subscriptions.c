// `count` subscriptions with and without wildcards, spread over 100 clients; then `pubsub` on topics that match none
// of them, which shows what finding nothing among so many costs.
#include "client.h"
#include "report.h"
#include <stdio.h>
#include <stdlib.h>

enum { HOLDERS = 100, UNDER_WAY_MAX = 50 };

struct holder {
  struct client client; // first
  uint32_t asked, granted;
};

static uint32_t subscriptions, granted_in_all;

// Every second filter has a wildcard below its beginning, every fourth one at its first level.
static void filter_for(uint32_t number, char *to, size_t size) {
  switch (number % 4) {
    case 0: snprintf(to, size, "site/%u/device/%u/state", number / 1000, number); break;
    case 1: snprintf(to, size, "site/%u/+/%u/#", number / 1000, number); break;
    case 2: snprintf(to, size, "+/%u/device/+/state", number); break;
    default: snprintf(to, size, "site/%u/device/%u/#", number / 1000, number); break;
  }
}

static uint32_t share_of(uint32_t holder) {
  return subscriptions / HOLDERS + (holder < subscriptions % HOLDERS ? 1 : 0);
}

static void ask(struct holder *holder) {
  uint32_t share = share_of(holder->client.index);
  while (holder->asked < share && holder->asked - holder->granted < UNDER_WAY_MAX) {
    char topic_filter[64];
    filter_for(holder->asked * HOLDERS + holder->client.index, topic_filter, sizeof topic_filter);
    holder->asked++;
    client_subscribe(&holder->client, (uint16_t)(holder->asked % 65535 + 1), topic_filter, 0);
  }
}

static void on_subscribed(struct client *client, uint8_t reason_code) {
  if (reason_code > 2) fail("%s: SUBACK with 0x%02x", client->identifier, reason_code);
  struct holder *holder = (struct holder *)client;
  holder->granted++;
  granted_in_all++;
  // Refilled in groups, so that the generator does not write one packet at a time.
  if (holder->asked - holder->granted <= UNDER_WAY_MAX / 2) ask(holder);
}

static void on_message(struct client *client, const struct publish *publish) {
  fail("%s: got a message on '%.*s'", client->identifier, (int)publish->topic_length, (const char *)publish->topic);
}

static const struct client_events events = {.subscribed = on_subscribed, .message = on_message};

void run_subscriptions(const struct options *options) {
  subscriptions = (uint32_t)options->count;
  struct holder *holders = calloc(HOLDERS, sizeof *holders);
  struct client *pointers[HOLDERS];
  for (uint32_t i = 0; i < HOLDERS; i++) {
    client_init(&holders[i].client, &events, i, options->version, "hold");
    pointers[i] = &holders[i].client;
  }
  clients_connect(pointers, HOLDERS, options);
  report_begin("connected");
  report_end();
  wait_for_go();
  struct interval from = interval_begin(options->pid);
  for (uint32_t i = 0; i < HOLDERS; i++) ask(&holders[i]);
  while (granted_in_all < subscriptions) loop_turn(100000000);
  struct interval to = interval_begin(options->pid);
  report_begin("subscribed");
  interval_report(&from, &to, subscriptions);
  report_end();
  wait_for_go();
  run_pubsub(options);
  for (uint32_t i = 0; i < HOLDERS; i++) client_disconnect(&holders[i].client);
}
