// A load generator for MQTT brokers: one thread, one epoll, and OpenSSL for TLS. See ../README.md.
#define _GNU_SOURCE
#include "client.h"
#include "options.h"
#include "report.h"
#include "account.h"
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct {
  const char *name;
  void (*run)(const struct options *);
} scenarios[] = {
    {"pubsub", run_pubsub},     {"latency", run_latency}, {"idle", run_idle}, {"subscriptions", run_subscriptions},
    {"retained", run_retained}, {"offline", run_offline}, {"stock", run_stock}, {"take", run_take},
    {"connects", run_connects}, {"sink", run_sink},
};

static const struct {
  const char *name;
  size_t offset;
  int min, max, usual;
} table[] = {
    {"--port", offsetof(struct options, port), 0, 65535, 0},
    {"--tls", offsetof(struct options, tls), 0, 13, 0},
    {"--web", offsetof(struct options, web), 0, 1, 0},
    {"--each", offsetof(struct options, each), 0, 1, 0},
    {"--pid", offsetof(struct options, pid), 0, 1 << 30, 0},
    {"--version", offsetof(struct options, version), 4, 5, 4},
    {"--qos", offsetof(struct options, qos), 0, 2, 0},
    {"--publishers", offsetof(struct options, publishers), 1, 10000, 10},
    {"--subscribers", offsetof(struct options, subscribers), 1, 10000, 10},
    {"--payload", offsetof(struct options, payload), STAMP_BYTES, 65536, 64},
    {"--window", offsetof(struct options, window), 1, 65535, 400},
    {"--warmup", offsetof(struct options, warmup_ms), 0, 60000, 500},
    {"--duration", offsetof(struct options, duration_ms), 10, 600000, 1000},
    {"--silence", offsetof(struct options, silence_ms), 10, 60000, 1500},
    {"--rate", offsetof(struct options, rate), 1, 1000000, 5000},
    {"--count", offsetof(struct options, count), 1, 1000000, 50000},
    {"--sessions", offsetof(struct options, sessions), 1, 10000, 1000},
    {"--stored", offsetof(struct options, stored), 0, 1, 0},
    {"--users", offsetof(struct options, users), 0, 100000, 0},
    {"--group", offsetof(struct options, group), 0, 9, 0},
    {"--in-progress", offsetof(struct options, in_progress), 1, 4000, 100},
    {"--spin", offsetof(struct options, spin), 0, 1, 0},
    {"--timeout", offsetof(struct options, timeout_s), 1, 3600, 60},
    {"--drop-every", offsetof(struct options, drop_every), 0, 1 << 30, 0},
    {"--duplicate-every", offsetof(struct options, duplicate_every), 0, 1 << 30, 0},
    {"--swap-every", offsetof(struct options, swap_every), 0, 1 << 30, 0},
};

static const struct {
  const char *name;
  size_t offset;
} texts[] = {
    {"--path", offsetof(struct options, path)},
    {"--certificate", offsetof(struct options, certificate)},
    {"--key", offsetof(struct options, key)},
};

enum { TEXTS = sizeof texts / sizeof *texts };
enum { ENTRIES = sizeof table / sizeof *table, SCENARIOS = sizeof scenarios / sizeof *scenarios };

static void set_option(struct options *options, const char *name, const char *value) {
  for (int i = 0; i < TEXTS; i++) {
    if (strcmp(texts[i].name, name)) continue;
    if (!value || !*value) fail("%s takes a path", name);
    *(const char **)((char *)options + texts[i].offset) = value;
    return;
  }
  for (int i = 0; i < ENTRIES; i++) {
    if (strcmp(table[i].name, name)) continue;
    char *end = NULL;
    long number = value ? strtol(value, &end, 10) : 0;
    if (!value || !*value || *end || number < table[i].min || number > table[i].max) {
      fail("%s takes %d to %d, not '%s'", name, table[i].min, table[i].max, value ? value : "");
    }
    *(int *)((char *)options + table[i].offset) = (int)number;
    return;
  }
  fail("There is no option %s", name);
}

static void on_alarm(int signal) {
  (void)signal;
  static const char text[] = "{\"stage\":\"error\",\"error\":\"Timed out\"}\n";
  if (write(STDOUT_FILENO, text, sizeof text - 1) < 0) _exit(2);
  _exit(1);
}

static void prepare_process(const struct options *options, bool limited) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  // Nothing of ours outlives whoever started it.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The usual slack of 50 us would be a part of every measured latency.
  prctl(PR_SET_TIMERSLACK, 1);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGALRM, on_alarm);
  if (limited) alarm((unsigned)options->timeout_s);
}

int main(int argc, char **argv) {
  struct options options = {0};
  for (int i = 0; i < ENTRIES; i++) *(int *)((char *)&options + table[i].offset) = table[i].usual;
  const char *name = argc > 1 ? argv[1] : "";
  for (int i = 2; i < argc; i += 2) set_option(&options, argv[i], argv[i + 1]);
  for (int i = 0; i < SCENARIOS; i++) {
    if (strcmp(scenarios[i].name, name)) continue;
    prepare_process(&options, scenarios[i].run != run_sink);
    loop_start(&options);
    client_group(options.group);
    scenarios[i].run(&options);
    return 0;
  }
  fail("There is no scenario '%s': pubsub, latency, idle, subscriptions, retained, offline, stock, take, connects or sink", name);
}
