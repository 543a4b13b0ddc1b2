/* A serial line as a port of the library: a tty, or a pty, that may vanish and come back. */
#ifndef TTY_H
#define TTY_H

#include "../include/mqttsn-line.h"

typedef struct {
  mqttsn_port port; /* for mqttsn_line_init */
  const char *path;
  long baud;
  int fd; /* -1 while it is away */
  uint32_t look_ms; /* when to look for it next; 0 while it is thought to be open */
} tty;

void tty_init(tty *line, const char *path, long baud);

/* True when that is a baud rate which tty_keep_open can set. */
bool tty_is_baud(long baud);

/*
 * Opens the line when it is there and was not open. Returns 1 when it is open now and was not before, -1 when it
 * has just vanished, else 0.
 */
int tty_keep_open(tty *line, uint32_t now_ms);

void tty_close(tty *line);

#endif
