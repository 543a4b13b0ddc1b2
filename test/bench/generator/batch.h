// One publisher that sends a fixed number of messages as fast as its window opens.
#pragma once
#include "client.h"

struct batch {
  struct client client; // first
  struct publish_template template;
  int qos;
  bool numbered; // the Topic Name ends with eight digits, which become the number of the message
  uint32_t count, window, sent, refused;
  uint32_t acknowledged; // at QoS 0: answered by the PINGRESP to a PINGREQ behind them
  uint32_t pinged;       // how many were sent before the last PINGREQ
};

// Connects. The Topic Name must end with "00000000" when the topics are to be numbered.
void batch_start(struct batch *batch, const struct options *options, const char *topic_name, bool retain,
                 bool numbered);
// Sends all and returns when all are acknowledged. At QoS 0 a PINGREQ behind every half window asks for that: without
// it the store would be measured by what the kernel buffers, and by its pauses when the buffers are full.
void batch_run(struct batch *batch);
