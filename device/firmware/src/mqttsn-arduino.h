/*
 * For Arduino-style boards: a serial port (Serial, Serial1, SoftwareSerial: any Stream) as the port of the library.
 *
 *   static mqttsn_port port = mqttsn_stream_port(Serial1);
 */
#ifndef MQTTSN_ARDUINO_H
#define MQTTSN_ARDUINO_H

#include <Arduino.h>

#include "../include/mqttsn-line.h"
#include "../include/mqttsn.h"

static inline void mqttsn_stream_write(void *stream, const uint8_t *octets, size_t length) {
  static_cast<Stream *>(stream)->write(octets, length);
}

/* Not readBytes(), which waits. */
static inline size_t mqttsn_stream_read(void *context, uint8_t *octets, size_t capacity) {
  Stream *stream = static_cast<Stream *>(context);
  size_t length = 0;
  while (length < capacity && stream->available() > 0) octets[length++] = static_cast<uint8_t>(stream->read());
  return length;
}

static inline uint32_t mqttsn_stream_now_ms(void *) { return millis(); }

static inline mqttsn_port mqttsn_stream_port(Stream &stream) {
  mqttsn_port port = {&stream, mqttsn_stream_write, mqttsn_stream_read, mqttsn_stream_now_ms};
  return port;
}

#endif
