// Fills a broker before a restart, and looks after it whether everything is there. `stock`: `sessions` clients subscribe
// and leave, `count` retained messages on distinct topics are stored, and `count` messages for the sessions, the same
// number for each. `take`: the sessions come back, and one client asks for all retained messages.
#include "account.h"
#include "batch.h"
#include "report.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
  struct client *sessions;
  uint32_t session_count, count, each; // each: messages of one session
  uint32_t subscribed;
  struct seen *seen; // [session]
  uint8_t *retained; // by number: how often it came
  uint32_t retained_distinct;
  struct totals totals;
  uint64_t wrong; // duplicated or misrouted retained messages
} stock;

static bool read_stamp(const struct publish *publish, struct stamp *stamp) {
  if (publish->payload_length < STAMP_BYTES) return false;
  memcpy(stamp, publish->payload, sizeof *stamp);
  return stamp->magic == STAMP_MAGIC && stamp->sequence < stock.count;
}

static void on_message(struct client *client, const struct publish *publish) {
  struct stamp stamp;
  if (!read_stamp(publish, &stamp) || publish->retain || stamp.sequence % stock.session_count != client->index) {
    stock.totals.misrouted++;
    return;
  }
  seen_arrived(&stock.seen[client->index], stamp.sequence / stock.session_count, &stock.totals);
}

static void on_retained(struct client *client, const struct publish *publish) {
  (void)client;
  struct stamp stamp;
  if (!read_stamp(publish, &stamp) || !publish->retain || stock.retained[stamp.sequence]++) {
    stock.wrong++;
    return;
  }
  stock.retained_distinct++;
}

static void on_subscribed(struct client *client, uint8_t reason_code) {
  if (reason_code > 2) fail("%s: SUBACK with 0x%02x", client->identifier, reason_code);
  stock.subscribed++;
}

static const struct client_events session_events = {.message = on_message, .subscribed = on_subscribed};
static const struct client_events retained_events = {.message = on_retained};

static void connect_sessions(const struct options *options) {
  stock.session_count = (uint32_t)options->sessions;
  stock.each = (uint32_t)options->count / stock.session_count;
  stock.count = stock.each * stock.session_count;
  stock.sessions = calloc(stock.session_count, sizeof *stock.sessions);
  stock.seen = calloc(stock.session_count, sizeof *stock.seen);
  struct client **clients = calloc(stock.session_count, sizeof *clients);
  for (uint32_t i = 0; i < stock.session_count; i++) {
    client_init(&stock.sessions[i], &session_events, i, options->version, "stock");
    stock.sessions[i].clean_start = false;
    clients[i] = &stock.sessions[i];
  }
  clients_connect(clients, stock.session_count, options);
  free(clients);
}

static void disconnect_sessions(void) {
  for (uint32_t i = 0; i < stock.session_count; i++) client_disconnect(&stock.sessions[i]);
}

static uint32_t publish_all(const struct options *options, const char *topic_name, bool retain, uint32_t topics) {
  struct batch batch;
  batch_start(&batch, options, 0, stock.count, topic_name, retain, topics);
  batches_run(&batch, 1);
  client_disconnect(&batch.client);
  return batch.refused;
}

void run_stock(const struct options *options) {
  connect_sessions(options);
  char topic_filter[32];
  for (uint32_t i = 0; i < stock.session_count; i++) {
    snprintf(topic_filter, sizeof topic_filter, "bench/stock/%08u", i);
    client_subscribe(&stock.sessions[i], 1, topic_filter, options->qos);
  }
  while (stock.subscribed < stock.session_count) loop_turn(100000000);
  disconnect_sessions();
  struct interval from = interval_begin(options->pid);
  uint32_t refused = publish_all(options, "bench/retained/00000000", true, stock.count);
  refused += publish_all(options, "bench/stock/00000000", false, stock.session_count);
  struct interval to = interval_begin(options->pid);
  report_begin("result");
  interval_report(&from, &to, 2 * (int64_t)stock.count);
  report_count("refused", refused);
  report_end();
}

static void take_all(const struct options *options) {
  int64_t progress_ns = now_ns();
  uint64_t before = client_packets_received();
  while (stock.totals.delivered < stock.count || stock.retained_distinct < stock.count) {
    loop_turn(100000000);
    if (client_packets_received() != before) progress_ns = now_ns();
    before = client_packets_received();
    if (now_ns() - progress_ns > options->silence_ms * (int64_t)1000000) return;
  }
}

void run_take(const struct options *options) {
  static struct client reader;
  struct client *readers[] = {&reader};
  struct interval from = interval_begin(options->pid);
  connect_sessions(options);
  stock.retained = calloc(stock.count, 1);
  client_init(&reader, &retained_events, 0, options->version, "reader");
  clients_connect(readers, 1, options);
  client_subscribe(&reader, 1, "bench/retained/#", options->qos);
  take_all(options);
  struct interval to = interval_begin(options->pid);
  uint64_t lost = stock.count - stock.retained_distinct;
  for (uint32_t i = 0; i < stock.session_count; i++) {
    if (!stock.sessions[i].connack.session_present) stock.wrong++;
    lost += seen_lost(&stock.seen[i], stock.each);
  }
  report_begin("result");
  interval_report(&from, &to, (int64_t)(stock.totals.delivered + stock.retained_distinct));
  report_count("lost", (int64_t)lost);
  report_count("duplicated", (int64_t)stock.totals.duplicated);
  report_count("reordered", (int64_t)stock.totals.reordered);
  report_count("misrouted", (int64_t)(stock.totals.misrouted + stock.wrong));
  report_end();
  client_disconnect(&reader);
  disconnect_sessions();
}
