// Open loop at a fixed rate: every message is written on its own at its moment, whether or not earlier ones have
// arrived. The time is taken when it is written and when its subscriber has read it.
#include "report.h"
#include "traffic.h"
#include <stdlib.h>

static int ascending(const void *a, const void *b) {
  uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
  return (left > right) - (left < right);
}

// The smallest value that at least `share` of all do not exceed.
static double percentile_us(const uint32_t *sorted_ns, uint32_t count, double share) {
  if (!count) return 0;
  uint32_t rank = (uint32_t)(share * count);
  if ((double)rank < share * count) rank++;
  return sorted_ns[rank ? rank - 1 : 0] / 1e3;
}

struct schedule {
  int64_t next_ns, step_ns;
  uint32_t turn;         // whose turn it is to publish
  uint32_t *lateness_ns; // how long after its moment each message was written: the generator's own fault
  uint32_t count;
};

static void run_until(struct traffic *traffic, int64_t end_ns, struct schedule *schedule) {
  while (schedule->next_ns < end_ns) {
    int64_t now = now_ns();
    if (now < schedule->next_ns) {
      loop_turn(schedule->next_ns - now);
      continue;
    }
    schedule->lateness_ns[schedule->count++] = (uint32_t)(now - schedule->next_ns);
    struct publisher *publisher = &traffic->publishers[schedule->turn++ % traffic->publisher_count];
    traffic_send(publisher, 1, traffic->options->qos, now);
    link_flush(&publisher->client.link);
    schedule->next_ns += schedule->step_ns;
    loop_turn(0);
  }
}

void run_latency(const struct options *asked) {
  static struct traffic traffic;
  struct options options = *asked;
  // Nothing holds the rate back: the window only says how many arrivals are remembered.
  options.window = 65535;
  traffic_start(&traffic, &options);
  uint64_t total = (uint64_t)options.rate * (uint64_t)(options.warmup_ms + options.duration_ms) / 1000 + 2;
  traffic.latency_capacity = (uint32_t)(total * (uint64_t)options.subscribers / traffic.topics);
  traffic.latencies_ns = calloc(traffic.latency_capacity, sizeof(uint32_t));
  struct schedule schedule = {now_ns(), 1000000000 / options.rate, 0, calloc(total, sizeof(uint32_t)), 0};
  run_until(&traffic, schedule.next_ns + options.warmup_ms * (int64_t)1000000, &schedule);
  // What is still under way from the warm-up is counted with the first measured ones: a handful.
  traffic.latency_count = schedule.count = 0;
  struct interval from = interval_begin(options.pid);
  uint64_t before = traffic_arrived(&traffic);
  run_until(&traffic, from.wall_ns + options.duration_ms * (int64_t)1000000, &schedule);
  struct interval to = interval_begin(options.pid);
  uint64_t after = traffic_arrived(&traffic);
  traffic_drain(&traffic);
  qsort(traffic.latencies_ns, traffic.latency_count, sizeof(uint32_t), ascending);
  qsort(schedule.lateness_ns, schedule.count, sizeof(uint32_t), ascending);
  report_begin("result");
  interval_report(&from, &to, (int64_t)(after - before));
  report_number("p50Us", percentile_us(traffic.latencies_ns, traffic.latency_count, 0.5));
  report_number("p90Us", percentile_us(traffic.latencies_ns, traffic.latency_count, 0.9));
  report_number("p99Us", percentile_us(traffic.latencies_ns, traffic.latency_count, 0.99));
  report_number("maxUs", percentile_us(traffic.latencies_ns, traffic.latency_count, 1));
  report_number("generatorLateP99Us", percentile_us(schedule.lateness_ns, schedule.count, 0.99));
  traffic_report(&traffic);
  report_end();
  traffic_stop(&traffic);
}
