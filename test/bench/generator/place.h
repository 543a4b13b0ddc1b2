// Where clients connect to and the sink listens, and what is spoken there below MQTT: options of the command line.
#pragma once
#include "options.h"

// A non-blocking socket that connects to 127.0.0.1 and the port from 127.0.0.(1 + source), or to the Unix socket.
// Several sources give more than 28,000 ports.
int place_connect(const struct options *options, int source);
int place_listen(const struct options *options);
// Small packets leave at once. Of no meaning on a Unix socket.
void place_hurry(const struct options *options, int fd);
