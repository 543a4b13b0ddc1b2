// Stores `count` retained messages on distinct topics, then sends them all to one subscriber of `#`.
#include "account.h"
#include "batch.h"
#include "report.h"
#include <stdlib.h>
#include <string.h>

static struct {
  uint8_t *arrived; // by number: how often
  uint32_t count, distinct;
  int64_t duplicated, misrouted;
  int pid;
  struct interval end; // taken when the last one arrives
} collected;

static void on_message(struct client *client, const struct publish *publish) {
  (void)client;
  struct stamp stamp = {0};
  if (publish->payload_length >= STAMP_BYTES) memcpy(&stamp, publish->payload, sizeof stamp);
  if (stamp.magic != STAMP_MAGIC || stamp.sequence >= collected.count || !publish->retain) {
    collected.misrouted++;
    return;
  }
  if (collected.arrived[stamp.sequence]++) {
    collected.duplicated++;
  } else if (++collected.distinct == collected.count) {
    collected.end = interval_begin(collected.pid);
  }
}

static const struct client_events events = {.message = on_message};

// Nothing for so long: the rest is lost. And a moment in which a duplicate may still show up.
static const int64_t SILENCE_NS = 3000000000, LINGER_NS = 30000000;

static void collect(void) {
  int64_t progress_ns = now_ns();
  for (uint32_t before = 0; collected.distinct < collected.count; before = collected.distinct) {
    loop_turn(100000000);
    if (collected.distinct != before) progress_ns = now_ns();
    if (now_ns() - progress_ns > SILENCE_NS) return;
  }
  for (int64_t end_ns = now_ns() + LINGER_NS, left_ns; (left_ns = end_ns - now_ns()) > 0;) loop_turn(left_ns);
}

void run_retained(const struct options *options) {
  static struct batch batch;
  static struct client subscriber;
  collected.count = (uint32_t)options->count;
  collected.pid = options->pid;
  collected.arrived = calloc(collected.count, 1);
  batch_start(&batch, options, 0, collected.count, "bench/retained/00000000", true, collected.count);
  struct interval from = interval_begin(options->pid);
  batches_run(&batch, 1);
  struct interval to = interval_begin(options->pid);
  report_begin("stored");
  interval_report(&from, &to, options->count);
  report_count("refused", batch.refused);
  report_end();

  client_init(&subscriber, &events, 0, options->version, "all");
  struct client *clients[] = {&subscriber};
  clients_connect(clients, 1, options);
  from = interval_begin(options->pid);
  client_subscribe(&subscriber, 1, "#", options->qos);
  collect();
  to = collected.distinct == collected.count ? collected.end : interval_begin(options->pid);
  report_begin("result");
  interval_report(&from, &to, collected.distinct);
  report_count("expected", options->count);
  report_count("lost", collected.count - collected.distinct);
  report_count("duplicated", collected.duplicated);
  report_count("misrouted", collected.misrouted);
  report_end();
  client_disconnect(&subscriber);
  client_disconnect(&batch.client);
}
