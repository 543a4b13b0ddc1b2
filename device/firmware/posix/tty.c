#define _DEFAULT_SOURCE

#include "tty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include "clock.h"

#define LOOK_EACH_MS 100u
/* What the line does not take within this time is lost, as it would be on a real one. */
#define WRITE_WAIT_MS 200

static const struct {
  long baud;
  speed_t speed;
} SPEEDS[] = {
    {1200, B1200},     {2400, B2400},     {4800, B4800},     {9600, B9600},     {19200, B19200},
    {38400, B38400},   {57600, B57600},   {115200, B115200}, {230400, B230400},
#ifdef B460800
    {460800, B460800}, {921600, B921600},
#endif
};

static bool speed_of(long baud, speed_t *speed) {
  size_t at;
  for (at = 0; at < sizeof SPEEDS / sizeof *SPEEDS; at++) {
    if (SPEEDS[at].baud != baud) continue;
    *speed = SPEEDS[at].speed;
    return true;
  }
  return false;
}

static void tty_write(void *context, const uint8_t *octets, size_t length) {
  tty *line = context;
  while (length > 0 && line->fd >= 0) {
    ssize_t written = write(line->fd, octets, length);
    if (written > 0) {
      octets += written;
      length -= (size_t)written;
    } else if (written < 0 && errno == EINTR) {
      continue;
    } else if (written < 0 && errno == EAGAIN) {
      struct pollfd room = {line->fd, POLLOUT, 0};
      if (poll(&room, 1, WRITE_WAIT_MS) != 1 || (room.revents & POLLOUT) == 0) return;
    } else {
      tty_close(line);
    }
  }
}

static size_t tty_read(void *context, uint8_t *octets, size_t capacity) {
  tty *line = context;
  struct pollfd here = {line->fd, POLLIN, 0};
  ssize_t length;
  /* A tty that has nothing to read and one that hung up are both 0 to read(): poll() tells them apart. */
  if (line->fd < 0 || poll(&here, 1, 0) != 1) return 0;
  length = read(line->fd, octets, capacity);
  if (length > 0) return (size_t)length;
  if (length == 0 || (errno != EAGAIN && errno != EINTR)) tty_close(line);
  return 0;
}

static uint32_t tty_now_ms(void *context) {
  (void)context;
  return clock_ms();
}

void tty_init(tty *line, const char *path, long baud) {
  line->port.context = line;
  line->port.write = tty_write;
  line->port.read = tty_read;
  line->port.now_ms = tty_now_ms;
  line->path = path;
  line->baud = baud;
  line->fd = -1;
  line->look_ms = (clock_ms() - 1u) | 1u;
}

bool tty_is_baud(long baud) {
  speed_t speed;
  return speed_of(baud, &speed);
}

static int open_raw(const tty *line) {
  struct termios settings;
  speed_t speed = B115200;
  int fd = open(line->path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return -1;
  speed_of(line->baud, &speed);
  if (tcgetattr(fd, &settings) == 0) {
    cfmakeraw(&settings);
    settings.c_cflag |= CLOCAL | CREAD;
    settings.c_cflag &= ~(tcflag_t)HUPCL;
    cfsetispeed(&settings, speed);
    cfsetospeed(&settings, speed);
    if (tcsetattr(fd, TCSANOW, &settings) == 0) return fd;
  }
  close(fd);
  return -1;
}

int tty_keep_open(tty *line, uint32_t now_ms) {
  bool was_open = line->look_ms == 0;
  if (line->fd >= 0) return 0;
  if (was_open) {
    /* tty_close was called since. */
    line->look_ms = now_ms | 1u;
    return -1;
  }
  if (now_ms - line->look_ms >= 0x80000000u) return 0;
  line->look_ms = (now_ms + LOOK_EACH_MS) | 1u;
  line->fd = open_raw(line);
  if (line->fd < 0) return 0;
  line->look_ms = 0;
  return 1;
}

void tty_close(tty *line) {
  if (line->fd >= 0) close(line->fd);
  line->fd = -1;
}
