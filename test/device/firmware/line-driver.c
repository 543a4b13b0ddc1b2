/* The firmware's framing on its own: reads commands, prints the octets that it writes and the messages that it finds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../device/firmware/include/mqttsn-line.h"

#define OCTETS_MAX 140000

static uint8_t incoming[OCTETS_MAX];
static size_t incoming_at = 0;
static size_t incoming_length = 0;
static uint32_t clock_ms = 0;

static size_t read_hex(const char *text, uint8_t *octets) {
  size_t length = strlen(text) / 2;
  for (size_t at = 0; at < length; at++) {
    char two[3] = {text[2 * at], text[2 * at + 1], 0};
    octets[at] = (uint8_t)strtoul(two, NULL, 16);
  }
  return length;
}

static void write_octets(void *context, const uint8_t *octets, size_t length) {
  (void)context;
  for (size_t at = 0; at < length; at++) printf("%02x", octets[at]);
}

static size_t read_octets(void *context, uint8_t *octets, size_t capacity) {
  size_t length = incoming_length - incoming_at;
  (void)context;
  if (length > capacity) length = capacity;
  memcpy(octets, incoming + incoming_at, length);
  incoming_at += length;
  return length;
}

static uint32_t now(void *context) {
  (void)context;
  return clock_ms;
}

static void print_messages(mqttsn_line *line) {
  const uint8_t *message = NULL;
  for (;;) {
    size_t length = mqttsn_line_receive(line, &message);
    if (length > 0) {
      printf("message ");
      write_octets(NULL, message, length);
      putchar('\n');
    } else if (incoming_at == incoming_length) {
      return;
    }
  }
}

int main(int count, char **words) {
  static const mqttsn_port PORT = {NULL, write_octets, read_octets, now};
  static char text[2 * OCTETS_MAX + 100];
  static uint8_t octets[OCTETS_MAX];
  static mqttsn_line line;
  size_t capacity = count > 1 ? (size_t)atol(words[1]) : 258;
  uint8_t *buffer = malloc(capacity);
  if (buffer == NULL) return 3;
  mqttsn_line_init(&line, &PORT, buffer, capacity);
  while (fgets(text, sizeof text, stdin) != NULL) {
    size_t end = strcspn(text, "\n");
    text[end] = 0;
    if (strncmp(text, "send ", 5) == 0) {
      /* "send HEAD-LENGTH HEX": the message in two parts, each in memory of its own. */
      char *rest = NULL;
      size_t head_length = (size_t)strtoul(text + 5, &rest, 10);
      size_t length = read_hex(rest + 1, octets);
      uint8_t *head = malloc(head_length + 1);
      uint8_t *body = malloc(length - head_length + 1);
      if (head == NULL || body == NULL) return 3;
      memcpy(head, octets, head_length);
      memcpy(body, octets + head_length, length - head_length);
      printf("sent ");
      mqttsn_line_send(&line, head, head_length, body, length - head_length);
      putchar('\n');
      free(head);
      free(body);
    } else if (strncmp(text, "take ", 5) == 0) {
      incoming_at = 0;
      incoming_length = read_hex(text + 5, incoming);
      print_messages(&line);
    } else if (strncmp(text, "look", 4) == 0) {
      print_messages(&line);
    } else if (strncmp(text, "clock ", 6) == 0) {
      clock_ms += (uint32_t)strtoul(text + 6, NULL, 10);
    } else if (strncmp(text, "state", 5) == 0) {
      printf("errors %lu%s\n", (unsigned long)line.errors, mqttsn_line_is_unfinished(&line) ? " unfinished" : "");
    } else if (strncmp(text, "crc ", 4) == 0) {
      size_t length = read_hex(text + 4, octets);
      uint16_t crc = 0xffff;
      for (size_t at = 0; at < length; at++) crc = mqttsn_crc16(crc, octets[at]);
      printf("crc %04x\n", (unsigned)(uint16_t)~crc);
    } else {
      return 2;
    }
  }
  free(buffer);
  return 0;
}
