#include "client.h"
#include "report.h"
#include <stdio.h>
#include <string.h>

// The connections of the call of clients_connect that runs.
static uint32_t connecting, settled;
static uint64_t packets_received;
static uint32_t first_name;
static uint32_t user_count, next_user;

uint64_t client_packets_received(void) { return packets_received; }

void client_group(int group) { first_name = (uint32_t)group * GROUP_NAMES; }

static void gone(struct client *client, const char *why) {
  if (!client->connected) {
    connecting--;
    settled++;
  }
  client->connected = false;
  if (!client->events->gone) fail("Client %s: %s", client->identifier, why);
  client->events->gone(client, why);
}

static void on_closed(struct link *link, int error) {
  gone((struct client *)link, error ? strerror(error) : "closed by the broker");
}

static void on_open(struct link *link) {
  struct client *client = (struct client *)link;
  uint8_t packet[CONNECT_BYTES_MAX];
  int user = user_count == 0 ? -1 : (int)(next_user++ % user_count);
  size_t length = write_connect(packet, client->version, client->identifier, client->clean_start, user);
  memcpy(link_append(link, length), packet, length);
}

static void on_connack(struct client *client, const struct frame *frame) {
  char why[64];
  if (!read_connack(frame, client->version, &client->connack)) {
    snprintf(why, sizeof why, "malformed CONNACK");
  } else if (client->connack.reason_code) {
    snprintf(why, sizeof why, "refused with reason code 0x%02x", client->connack.reason_code);
  } else {
    client->connected = true;
    connecting--;
    settled++;
    if (client->events->connected) client->events->connected(client);
    return;
  }
  link_close(&client->link);
  gone(client, why);
}

static void on_disconnect(struct client *client, const struct frame *frame) {
  char why[64];
  snprintf(why, sizeof why, "DISCONNECT with reason code 0x%02x", frame->end > frame->body ? frame->body[0] : 0);
  link_close(&client->link);
  gone(client, why);
}

static uint8_t reason_code(const struct frame *frame) { return frame->end - frame->body > 2 ? frame->body[2] : 0; }

static void acknowledged(struct client *client, const struct frame *frame) {
  if (client->events->acknowledged) client->events->acknowledged(client, reason_code(frame));
}

static void on_other(struct client *client, const struct frame *frame) {
  switch (frame->header >> 4) {
    case CONNACK: on_connack(client, frame); break;
    case PUBACK:
    case PUBCOMP: acknowledged(client, frame); break;
    case PUBREC:
      if (reason_code(frame) >= 0x80) {
        acknowledged(client, frame);
      } else {
        write_ack(link_append(&client->link, 4), PUBREL, read_uint16(frame->body));
      }
      break;
    case PUBREL: write_ack(link_append(&client->link, 4), PUBCOMP, read_uint16(frame->body)); break;
    case SUBACK:
      if (client->events->subscribed) client->events->subscribed(client, frame->end[-1]);
      break;
    case PINGRESP:
      if (client->events->pong) client->events->pong(client);
      break;
    case DISCONNECT: on_disconnect(client, frame); break;
    default: fail("Client %s: packet with first byte 0x%02x", client->identifier, frame->header);
  }
}

static size_t on_bytes(struct link *link, const uint8_t *bytes, size_t length) {
  struct client *client = (struct client *)link;
  const uint8_t *at = bytes, *end = bytes + length;
  struct frame frame;
  size_t size;
  while ((size = read_frame(at, end, &frame)) != 0) {
    at += size;
    packets_received++;
    if (frame.header >> 4 != PUBLISH) {
      on_other(client, &frame);
      if (link->fd < 0) return length;
      continue;
    }
    struct publish publish;
    if (!read_publish(&frame, client->version, &publish)) fail("Client %s: malformed PUBLISH", client->identifier);
    if (client->events->message) client->events->message(client, &publish);
    if (publish.qos) write_ack(link_append(link, 4), publish.qos == 1 ? PUBACK : PUBREC, publish.packet_identifier);
  }
  return (size_t)(at - bytes);
}

void client_init(struct client *client, const struct client_events *events, uint32_t index, int version,
                 const char *kind) {
  memset(client, 0, sizeof *client);
  client->link = (struct link){.fd = -1, .on_open = on_open, .on_bytes = on_bytes, .on_closed = on_closed};
  client->events = events;
  client->index = index;
  client->version = (uint8_t)version;
  client->clean_start = true;
  snprintf(client->identifier, sizeof client->identifier, "bench-%s-%u", kind, first_name + index);
}

void client_connect(struct client *client, int source) {
  connecting++;
  link_connect(&client->link, source);
}

// One source address has some 28,000 ports towards one port of the broker, and those of earlier runs rest a minute.
enum { CONNECTIONS_PER_SOURCE = 4000 };

void clients_connect(struct client **clients, uint32_t count, const struct options *options) {
  uint32_t started = 0;
  connecting = settled = 0;
  user_count = (uint32_t)options->users;
  while (settled < count) {
    for (; started < count && connecting < (uint32_t)options->in_progress; started++) {
      client_connect(clients[started], (int)(started / CONNECTIONS_PER_SOURCE));
    }
    loop_turn(100000000);
  }
}

void client_subscribe(struct client *client, uint16_t packet_identifier, const char *topic_filter, int qos) {
  uint8_t packet[SUBSCRIBE_BYTES_MAX];
  size_t length = write_subscribe(packet, client->version, packet_identifier, topic_filter, qos);
  memcpy(link_append(&client->link, length), packet, length);
}

void client_disconnect(struct client *client) {
  if (client->link.fd < 0) return;
  const uint8_t packet[] = {DISCONNECT << 4, 0};
  memcpy(link_append(&client->link, sizeof packet), packet, sizeof packet);
  client->connected = false;
  link_flush(&client->link);
  link_close(&client->link);
}
