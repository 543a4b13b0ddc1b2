// A subscriber with a stored session leaves; `count` messages are stored for it; it comes back and takes them in order.
#include "account.h"
#include "batch.h"
#include "report.h"
#include <string.h>

static struct {
  struct seen seen;
  struct totals totals;
  uint32_t count;
  bool subscribed, complete, ponged;
  int pid;
  struct interval end; // taken when the last one arrives
} drained;

static uint64_t distinct(void) { return drained.totals.delivered - drained.totals.duplicated; }

static void on_message(struct client *client, const struct publish *publish) {
  (void)client;
  struct stamp stamp = {0};
  if (publish->payload_length >= STAMP_BYTES) memcpy(&stamp, publish->payload, sizeof stamp);
  if (stamp.magic != STAMP_MAGIC || stamp.sequence >= drained.count) {
    drained.totals.misrouted++;
    return;
  }
  seen_arrived(&drained.seen, stamp.sequence, &drained.totals);
  if (distinct() < drained.count || drained.complete) return;
  drained.complete = true;
  drained.end = interval_begin(drained.pid);
}

static void on_subscribed(struct client *client, uint8_t reason_code) {
  if (reason_code > 2) fail("%s: SUBACK with 0x%02x", client->identifier, reason_code);
  drained.subscribed = true;
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

void run_offline(const struct options *options) {
  static struct batch batch;
  static struct client absentee;
  drained.count = (uint32_t)options->count;
  drained.pid = options->pid;
  connect_absentee(&absentee, options);
  client_subscribe(&absentee, 1, "bench/offline", options->qos);
  while (!drained.subscribed) loop_turn(100000000);
  client_disconnect(&absentee);

  batch_start(&batch, options, "bench/offline", false, false);
  struct interval from = interval_begin(options->pid);
  batch_run(&batch);
  struct interval to = interval_begin(options->pid);
  report_begin("stored");
  interval_report(&from, &to, options->count);
  report_count("refused", batch.refused);
  report_end();
  // Every message was to be stored: one that came before the return would make the figures wrong.
  if (drained.totals.delivered) fail("Messages came before the session was taken up again");

  from = interval_begin(options->pid);
  connect_absentee(&absentee, options);
  if (!absentee.connack.session_present) fail("The broker has no session of the subscriber any more");
  drain();
  to = drained.complete ? drained.end : interval_begin(options->pid);
  report_begin("result");
  interval_report(&from, &to, (int64_t)distinct());
  report_count("expected", options->count);
  report_count("lost", (int64_t)seen_lost(&drained.seen, drained.count));
  report_count("duplicated", (int64_t)drained.totals.duplicated);
  report_count("reordered", (int64_t)drained.totals.reordered);
  report_count("misrouted", (int64_t)drained.totals.misrouted);
  report_end();
  // A broker that is behind with our acknowledgements would otherwise keep the messages in the session.
  const uint8_t packet[] = {PINGREQ << 4, 0};
  memcpy(link_append(&absentee.link, sizeof packet), packet, sizeof packet);
  while (!drained.ponged) loop_turn(100000000);
  client_disconnect(&absentee);
  client_disconnect(&batch.client);
}
