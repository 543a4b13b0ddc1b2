#define _GNU_SOURCE
#include "report.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void fail(const char *format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  for (char *c = text; *c; c++) {
    if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ') *c = '\'';
  }
  printf("{\"stage\":\"error\",\"error\":\"%s\"}\n", text);
  fflush(stdout);
  exit(1);
}

void report_begin(const char *stage) { printf("{\"stage\":\"%s\"", stage); }

void report_count(const char *name, int64_t value) { printf(",\"%s\":%lld", name, (long long)value); }

void report_number(const char *name, double value) { printf(",\"%s\":%.4f", name, value); }

void report_end(void) {
  printf("}\n");
  fflush(stdout);
}

void wait_for_go(void) {
  char byte;
  while (read(STDIN_FILENO, &byte, 1) == 1) {
    if (byte == '\n') return;
  }
  exit(0);
}

static int64_t clock_ns(clockid_t clock) {
  struct timespec time;
  if (clock_gettime(clock, &time) != 0) return 0;
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

// The same time as utime + stime in /proc/PID/stat, but in nanoseconds instead of ticks of 10 ms.
int64_t broker_cpu_ns(int pid) {
  clockid_t clock;
  if (pid <= 0 || clock_getcpuclockid(pid, &clock) != 0) return 0;
  return clock_ns(clock);
}

// Of the main thread only: that is where every broker measured here does its work.
static int64_t waited_ns(int pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/schedstat", pid);
  FILE *file = pid > 0 ? fopen(path, "r") : NULL;
  if (!file) return 0;
  long long ran, waited = 0;
  if (fscanf(file, "%lld %lld", &ran, &waited) != 2) waited = 0;
  fclose(file);
  return waited;
}

struct interval interval_begin(int pid) {
  return (struct interval){
      .pid = pid,
      .wall_ns = now_ns(),
      .broker_ns = broker_cpu_ns(pid),
      .own_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID),
      .broker_waited_ns = waited_ns(pid),
      .own_waited_ns = waited_ns(getpid()),
  };
}

double seconds_between(int64_t from_ns, int64_t to_ns) { return (double)(to_ns - from_ns) / 1e9; }

void interval_report(const struct interval *from, const struct interval *to, int64_t messages) {
  double seconds = seconds_between(from->wall_ns, to->wall_ns);
  double broker = seconds_between(from->broker_ns, to->broker_ns);
  report_number("seconds", seconds);
  report_count("messages", messages);
  report_number("perSecond", (double)messages / seconds);
  if (broker > 0) report_number("perCpuSecond", (double)messages / broker);
  report_number("brokerCpu", broker / seconds);
  report_number("generatorCpu", seconds_between(from->own_ns, to->own_ns) / seconds);
  report_number("brokerWaited", seconds_between(from->broker_waited_ns, to->broker_waited_ns) / seconds);
  report_number("generatorWaited", seconds_between(from->own_waited_ns, to->own_waited_ns) / seconds);
}
