#include "batch.h"
#include "account.h"
#include <string.h>

static void on_acknowledged(struct client *client, uint8_t reason_code) {
  struct batch *batch = (struct batch *)client;
  batch->acknowledged++;
  if (reason_code >= 0x80) batch->refused++;
}

static uint32_t half_window(const struct batch *batch) { return batch->window > 1 ? batch->window / 2 : 1; }

static void on_pong(struct client *client) {
  struct batch *batch = (struct batch *)client;
  uint32_t next = batch->acknowledged + half_window(batch);
  batch->acknowledged = next < batch->count ? next : batch->count;
}

static const struct client_events events = {.acknowledged = on_acknowledged, .pong = on_pong};

void batch_start(struct batch *batch, const struct options *options, uint32_t index, uint32_t count,
                 const char *topic_name, bool retain, uint32_t topics) {
  memset(batch, 0, sizeof *batch);
  client_init(&batch->client, &events, index, options->version, "batch");
  batch->template = make_publish(options->version, topic_name, options->qos, retain, (size_t)options->payload);
  batch->qos = options->qos;
  batch->topics = topics;
  batch->count = count;
  struct client *clients[] = {&batch->client};
  clients_connect(clients, 1, options);
  uint16_t receive_maximum = batch->client.connack.receive_maximum;
  batch->window = options->window < receive_maximum ? (uint32_t)options->window : receive_maximum;
}

static void write_number(uint8_t *digits, uint32_t number) {
  for (int i = 7; i >= 0; i--, number /= 10) digits[i] = (uint8_t)('0' + number % 10);
}

static void send_next(struct batch *batch) {
  const struct publish_template *template = &batch->template;
  uint8_t *at = link_append(&batch->client.link, template->length);
  struct stamp stamp = {STAMP_MAGIC, (uint16_t)batch->client.index, batch->sent, 0};
  memcpy(at, template->bytes, template->length);
  memcpy(at + template->payload_at, &stamp, sizeof stamp);
  if (batch->qos) write_uint16(at + template->identifier_at, (uint16_t)(batch->sent % 65535 + 1));
  if (batch->topics) {
    size_t after_topic = batch->qos ? template->identifier_at : template->payload_at - (batch->client.version == 5);
    write_number(at + after_topic - 8, batch->sent % batch->topics);
  }
  batch->sent++;
}

static void ping(struct batch *batch) {
  const uint8_t packet[] = {PINGREQ << 4, 0};
  memcpy(link_append(&batch->client.link, sizeof packet), packet, sizeof packet);
  batch->pinged = batch->sent;
}

static void fill_window(struct batch *batch) {
  while (batch->sent < batch->count && batch->sent - batch->acknowledged < batch->window) {
    send_next(batch);
    bool due = batch->sent - batch->pinged == half_window(batch) || batch->sent == batch->count;
    if (!batch->qos && due) ping(batch);
  }
}

void batches_run(struct batch *batches, uint32_t publishers) {
  for (;;) {
    bool complete = true;
    for (uint32_t i = 0; i < publishers; i++) {
      fill_window(&batches[i]);
      if (batches[i].acknowledged < batches[i].count) complete = false;
    }
    if (complete) return;
    loop_turn(100000000);
  }
}
