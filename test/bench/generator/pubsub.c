// Closed loop: each topic has at most `window` messages under way, and a new one follows as soon as one has reached all
// its subscribers (and, at QoS 1 and 2, is acknowledged).
#include "report.h"
#include "traffic.h"

// Without any packet for so long, what is under way counts as lost, and the run goes on.
static const int64_t STALL_NS = 1000000000;
static const int64_t EMPTY_TURN_NS_MAX = 5000;

struct progress {
  uint64_t packets;
  int64_t at_ns;
  int64_t stalls;
  int64_t idle_ns; // spent asking for events that had not come, when spinning
};

static void pump(struct traffic *traffic) {
  int qos = traffic->options->qos;
  while (traffic->ready) {
    struct publisher *publisher = traffic->ready;
    traffic->ready = publisher->next_ready;
    publisher->ready = false;
    uint32_t room = traffic_room(publisher, qos);
    if (room) traffic_send(publisher, room, qos, 0);
  }
}

static void run_until(struct traffic *traffic, int64_t end_ns, struct progress *progress) {
  for (int64_t now; (now = now_ns()) < end_ns;) {
    if (client_packets_received() != progress->packets) {
      progress->packets = client_packets_received();
      progress->at_ns = now;
    } else if (now - progress->at_ns > STALL_NS) {
      progress->stalls++;
      progress->at_ns = now;
      traffic_forget(traffic);
    }
    pump(traffic);
    if (!traffic->options->spin) {
      loop_turn(end_ns - now < STALL_NS / 10 ? end_ns - now : STALL_NS / 10);
    } else if (loop_turn(0) == 0) {
      int64_t turn_ns = now_ns() - now;
      // A longer turn was not spent asking: something else had the core.
      progress->idle_ns += turn_ns < EMPTY_TURN_NS_MAX ? turn_ns : EMPTY_TURN_NS_MAX;
    }
  }
}

void run_pubsub(const struct options *options) {
  static struct traffic traffic;
  traffic_start(&traffic, options);
  struct progress progress = {.at_ns = now_ns()};
  run_until(&traffic, now_ns() + options->warmup_ms * (int64_t)1000000, &progress);
  // A slow broker with much under way delivers its first message after the warm-up: an interval without any says nothing.
  for (int more = 0; more < 100 && !traffic.totals.delivered; more++) run_until(&traffic, now_ns() + STALL_NS / 10, &progress);
  uint64_t before = traffic_arrived(&traffic);
  progress.idle_ns = 0;
  struct interval from = interval_begin(options->pid);
  run_until(&traffic, from.wall_ns + options->duration_ms * (int64_t)1000000, &progress);
  struct interval to = interval_begin(options->pid);
  to.own_ns -= progress.idle_ns;
  uint64_t after = traffic_arrived(&traffic);
  traffic_drain(&traffic);
  report_begin("result");
  interval_report(&from, &to, (int64_t)(after - before));
  traffic_report(&traffic);
  report_count("stalls", progress.stalls);
  report_end();
  traffic_stop(&traffic);
}
