/* A gateway's UDP port as a transport of the library: one message is one datagram. */
#ifndef UDP_H
#define UDP_H

#include "../include/mqttsn.h"

#define UDP_MESSAGE_MAX 2048

typedef struct {
  int fd;
  uint8_t message[UDP_MESSAGE_MAX];
} udp;

/* Opens a socket to `host`:`port`. False when there is no such address. */
bool udp_open(udp *socket, const char *host, const char *port);

void udp_send(void *context, const uint8_t *head, size_t head_length, const uint8_t *body, size_t body_length);
size_t udp_receive(void *context, const uint8_t **message);

#endif
