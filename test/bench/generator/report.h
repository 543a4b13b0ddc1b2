// What the generator says: JSON objects, one per line, on stdout. Also the clocks.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

static inline int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

// Prints {"error": …} and ends the process with 1.
__attribute__((format(printf, 1, 2), noreturn)) void fail(const char *format, ...);

void report_begin(const char *stage);
void report_count(const char *name, int64_t value);
void report_number(const char *name, double value);
void report_end(void);

// Waits until a line, or the end, comes on stdin: the caller looks at the broker meanwhile. At the end the process ends.
void wait_for_go(void);

// CPU time in all threads of the broker with this process id; 0 without one.
int64_t broker_cpu_ns(int pid);

// Begins and ends a measured interval: wall clock, the broker's CPU time, and our own.
struct interval {
  int pid;
  int64_t wall_ns, broker_ns, own_ns;
  int64_t broker_waited_ns, own_waited_ns; // ready to run while something else had the core
};
struct interval interval_begin(int pid);
// Reports messages a second and per CPU-second of the broker, the CPU shares of both (1 is one core), and the shares of
// the time in which each was ready to run but had to wait: more than a few percent, and something else disturbed us.
void interval_report(const struct interval *from, const struct interval *to, int64_t messages);
double seconds_between(int64_t from_ns, int64_t to_ns);
