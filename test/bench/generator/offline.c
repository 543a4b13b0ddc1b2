// A subscriber with a stored session leaves; `count` messages are stored for it; it comes back and takes them, in order
// from each publisher.
#include "account.h"
#include "batch.h"
#include "report.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
  struct seen *seen; // [publisher]
  struct totals totals;
  uint32_t publishers, each, count; // count is publishers * each
  uint32_t subscribed;
  bool complete, ponged;
  int pid;
  struct interval end; // taken when the last one arrives
} drained;

static uint64_t distinct(void) { return drained.totals.delivered - drained.totals.duplicated; }

static void on_message(struct client *client, const struct publish *publish) {
  (void)client;
  struct stamp stamp = {0};
  if (publish->payload_length >= STAMP_BYTES) memcpy(&stamp, publish->payload, sizeof stamp);
  if (stamp.magic != STAMP_MAGIC || stamp.publisher >= drained.publishers || stamp.sequence >= drained.each) {
    drained.totals.misrouted++;
    return;
  }
  seen_arrived(&drained.seen[stamp.publisher], stamp.sequence, &drained.totals);
  if (distinct() < drained.count || drained.complete) return;
  drained.complete = true;
  drained.end = interval_begin(drained.pid);
}

static void on_subscribed(struct client *client, uint8_t reason_code) {
  if (reason_code > 2) fail("%s: SUBACK with 0x%02x", client->identifier, reason_code);
  drained.subscribed++;
}

static void on_pong(struct client *client) {
  (void)client;
  drained.ponged = true;
}

static const struct client_events events = {.message = on_message, .subscribed = on_subscribed, .pong = on_pong};

// Nothing for so long: the rest is lost. And a moment in which a duplicate may still show up.
static const int64_t SILENCE_NS = 3000000000, LINGER_NS = 30000000;

static void drain(void) {
  int64_t progress_ns = now_ns();
  while (distinct() < drained.count) {
    uint64_t before = drained.totals.delivered;
    loop_turn(100000000);
    if (drained.totals.delivered != before) progress_ns = now_ns();
    if (now_ns() - progress_ns > SILENCE_NS) return;
  }
  for (int64_t end_ns = now_ns() + LINGER_NS, left_ns; (left_ns = end_ns - now_ns()) > 0;) loop_turn(left_ns);
}

static void connect_absentee(struct client *absentee, const struct options *options) {
  client_init(absentee, &events, 0, options->version, "absent");
  absentee->clean_start = false;
  clients_connect(&absentee, 1, options);
}

static void write_topic(char *topic, size_t size, uint32_t publisher) {
  snprintf(topic, size, "bench/offline/%u", publisher);
}

static void leave_subscriptions(struct client *absentee, const struct options *options) {
  char topic[32];
  connect_absentee(absentee, options);
  for (uint32_t i = 0; i < drained.publishers; i++) {
    write_topic(topic, sizeof topic, i);
    client_subscribe(absentee, (uint16_t)(i + 1), topic, options->qos);
  }
  while (drained.subscribed < drained.publishers) loop_turn(100000000);
  client_disconnect(absentee);
}

static struct batch *start_publishers(const struct options *options) {
  char topic[32];
  struct batch *batches = calloc(drained.publishers, sizeof *batches);
  for (uint32_t i = 0; i < drained.publishers; i++) {
    write_topic(topic, sizeof topic, i);
    batch_start(&batches[i], options, i, drained.each, topic, false, 0);
  }
  return batches;
}

static void store(struct batch *batches, const struct options *options) {
  struct interval from = interval_begin(options->pid);
  batches_run(batches, drained.publishers);
  struct interval to = interval_begin(options->pid);
  uint32_t refused = 0;
  for (uint32_t i = 0; i < drained.publishers; i++) refused += batches[i].refused;
  report_begin("stored");
  interval_report(&from, &to, drained.count);
  report_count("refused", refused);
  report_end();
  wait_for_go();
}

static void report_drained(const struct interval *from, const struct interval *to) {
  uint64_t lost = 0;
  for (uint32_t i = 0; i < drained.publishers; i++) lost += seen_lost(&drained.seen[i], drained.each);
  report_begin("result");
  interval_report(from, to, (int64_t)distinct());
  report_count("expected", drained.count);
  report_count("lost", (int64_t)lost);
  report_count("duplicated", (int64_t)drained.totals.duplicated);
  report_count("reordered", (int64_t)drained.totals.reordered);
  report_count("misrouted", (int64_t)drained.totals.misrouted);
  report_end();
}

void run_offline(const struct options *options) {
  static struct client absentee;
  drained.publishers = (uint32_t)options->publishers;
  drained.each = (uint32_t)options->count / drained.publishers;
  drained.count = drained.each * drained.publishers;
  drained.seen = calloc(drained.publishers, sizeof *drained.seen);
  drained.pid = options->pid;
  leave_subscriptions(&absentee, options);
  struct batch *batches = start_publishers(options);
  store(batches, options);
  // Every message was to be stored: one that came before the return would make the figures wrong.
  if (drained.totals.delivered) fail("Messages came before the session was taken up again");

  struct interval from = interval_begin(options->pid);
  connect_absentee(&absentee, options);
  if (!absentee.connack.session_present) fail("The broker has no session of the subscriber any more");
  drain();
  struct interval to = drained.complete ? drained.end : interval_begin(options->pid);
  report_drained(&from, &to);
  // A broker that is behind with our acknowledgements would otherwise keep the messages in the session.
  const uint8_t packet[] = {PINGREQ << 4, 0};
  memcpy(link_append(&absentee.link, sizeof packet), packet, sizeof packet);
  while (!drained.ponged) loop_turn(100000000);
  client_disconnect(&absentee);
  for (uint32_t i = 0; i < drained.publishers; i++) client_disconnect(&batches[i].client);
}
