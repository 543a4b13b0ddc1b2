// `count` connections that do nothing: how fast they are accepted, and what the broker keeps for each.
#include "client.h"
#include "report.h"
#include <stdio.h>
#include <stdlib.h>

static int64_t refused;

static void on_gone(struct client *client, const char *why) {
  if (!refused++) fprintf(stderr, "The first to be refused is %s: %s\n", client->identifier, why);
}

static const struct client_events events = {.gone = on_gone};

void run_idle(const struct options *options) {
  uint32_t count = (uint32_t)options->count;
  struct client *clients = calloc(count, sizeof *clients);
  struct client **pointers = calloc(count, sizeof *pointers);
  for (uint32_t i = 0; i < count; i++) {
    client_init(&clients[i], &events, i, options->version, "idle");
    pointers[i] = &clients[i];
  }
  struct interval from = interval_begin(options->pid);
  clients_connect(pointers, count, options);
  struct interval to = interval_begin(options->pid);
  report_begin("connected");
  interval_report(&from, &to, count - refused);
  report_count("refused", refused);
  report_end();
  wait_for_go();
  // Whatever the broker has closed meanwhile is read now.
  int64_t before = refused;
  loop_turn(0);
  for (uint32_t i = 0; i < count; i++) client_disconnect(&clients[i]);
  report_begin("result");
  report_count("lost", refused - before);
  report_end();
}
