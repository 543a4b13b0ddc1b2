// Clients that connect, hear CONNACK and go away again, `in_progress` at a time: what a connection costs with all the
// handshakes that the way in asks for.
#include "client.h"
#include "report.h"
#include <stdlib.h>

static struct client **over; // connected, and to be closed when the loop is between two turns
static uint32_t over_count;
static int64_t connected, begun;

// As many as one source address has ports for, with those of earlier runs still at rest; then the next, and round again.
enum { CONNECTIONS_PER_SOURCE = 2000, SOURCES = 200 };

static void on_connected(struct client *client) {
  connected++;
  over[over_count++] = client;
}

static void on_gone(struct client *client, const char *why) {
  fail("Client %s: %s", client->identifier, why);
}

static const struct client_events events = {.connected = on_connected, .gone = on_gone};

static void begin(struct client *client) {
  client_connect(client, (int)(begun++ / CONNECTIONS_PER_SOURCE % SOURCES));
}

static void run_until(int64_t end_ns) {
  while (now_ns() < end_ns) {
    for (uint32_t i = 0; i < over_count; i++) {
      client_disconnect(over[i]);
      begin(over[i]);
    }
    over_count = 0;
    loop_turn(10000000);
  }
}

void run_connects(const struct options *options) {
  uint32_t slots = (uint32_t)options->in_progress;
  struct client *clients = calloc(slots, sizeof *clients);
  over = calloc(slots, sizeof(struct client *));
  for (uint32_t i = 0; i < slots; i++) {
    client_init(&clients[i], &events, i, options->version, "guest");
    begin(&clients[i]);
  }
  run_until(now_ns() + options->warmup_ms * (int64_t)1000000);
  // A compiling runtime is slow until it has seen some, however long that takes on a busy machine.
  for (int more = 0; more < 100 && connected < options->count; more++) run_until(now_ns() + 100000000);
  int64_t before = connected;
  struct interval from = interval_begin(options->pid);
  run_until(from.wall_ns + options->duration_ms * (int64_t)1000000);
  struct interval to = interval_begin(options->pid);
  report_begin("result");
  interval_report(&from, &to, connected - before);
  report_count("connected", connected); // since the beginning
  report_end();
}
