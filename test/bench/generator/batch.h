// Publishers that each send a fixed number of messages as fast as their windows open.
#pragma once
#include "client.h"

struct batch {
  struct client client; // first
  struct publish_template template;
  int qos;
  uint32_t topics; // above 0: the Topic Name ends with eight digits, which become the message's number modulo this
  uint32_t count, window, sent, refused;
  uint32_t acknowledged; // at QoS 0: answered by the PINGRESP to a PINGREQ behind them
  uint32_t pinged;       // how many were sent before the last PINGREQ
};

// Connects publisher `index`, which is to send `count` messages. With `topics` above 0 the Topic Name must end with
// "00000000".
void batch_start(struct batch *batch, const struct options *options, uint32_t index, uint32_t count,
                 const char *topic_name, bool retain, uint32_t topics);
// Sends all messages of all publishers and returns when all are acknowledged. At QoS 0 a PINGREQ behind every half window asks for that: without
// it the store would be measured by what the kernel buffers, and by its pauses when the buffers are full.
void batches_run(struct batch *batches, uint32_t publishers);
