// Preloaded into a broker: while the file $BENCH_STALL_FLAG exists, a call that makes data durable takes $BENCH_STALL_MS
// longer, unless the last one that did ended less than $BENCH_STALL_REST_MS ago. So do memory cards that tidy up. Each
// such call leaves a byte in the file.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t well_until_ns;

static int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int64_t setting_ns(const char *name) {
  const char *text = getenv(name);
  return text ? strtoll(text, NULL, 10) * 1000000 : 0;
}

static void stall(void) {
  const char *flag = getenv("BENCH_STALL_FLAG");
  if (!flag || access(flag, F_OK) != 0) return;
  int64_t now = now_ns(), until = atomic_load(&well_until_ns);
  int64_t stall_ns = setting_ns("BENCH_STALL_MS");
  if (now < until) return;
  // Of several threads that come at once only one waits.
  if (!atomic_compare_exchange_strong(&well_until_ns, &until, now + stall_ns + setting_ns("BENCH_STALL_REST_MS"))) return;
  int file = open(flag, O_WRONLY | O_APPEND | O_CLOEXEC);
  if (file >= 0) {
    if (write(file, ".", 1) < 0) abort();
    close(file);
  }
  struct timespec time = {stall_ns / 1000000000, stall_ns % 1000000000};
  nanosleep(&time, NULL);
}

typedef int sync_call(int);

int fdatasync(int fd) {
  static sync_call *next;
  if (!next) next = (sync_call *)dlsym(RTLD_NEXT, "fdatasync");
  stall();
  return next(fd);
}

int fsync(int fd) {
  static sync_call *next;
  if (!next) next = (sync_call *)dlsym(RTLD_NEXT, "fsync");
  stall();
  return next(fd);
}
