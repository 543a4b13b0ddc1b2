#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tty.h"

static const char USAGE[] =
    "An MQTT-SN node that runs on a PC. It prints one JSON object for each event.\n"
    "\n"
    "node (--device PATH | --udp HOST:PORT) --id NAME [options]\n"
    "  --device PATH         serial line or pty; waited for when it is not there\n"
    "  --baud N              its speed (115200)\n"
    "  --udp HOST:PORT       gateway; an IPv6 address in square brackets\n"
    "  --id NAME             client identifier, 1 to 23 octets\n"
    "  --clean               begin with a clean session\n"
    "  --keep-alive S        (60)\n"
    "  --publish TOPIC       publish there; the message is --payload and a number that counts from 1\n"
    "  --qos -1|0|1|2        (1); with -1, and nothing else to do, it does not connect\n"
    "  --retain\n"
    "  --each MS             time between two messages (1000)\n"
    "  --count N             so many messages, then goodbye unless there is a subscription (0: without end)\n"
    "  --payload TEXT        what stands before the number (nothing)\n"
    "  --size N              fill the message up to N octets with dots\n"
    "  --subscribe TOPIC     up to 8 times\n"
    "  --subscribe-qos N     (1)\n"
    "  --sleep S             sleep between messages: tell the gateway S seconds\n"
    "  --wake MS             and look for what was kept each MS milliseconds (three quarters of --sleep)\n"
    "  --linger MS           stay awake so long after the last event (100)\n"
    "  --will-topic NAME  --will-message TEXT  --will-qos N  --will-retain\n"
    "  --retry-ms MS  --retries N  --wait-ms MS  --reconnect-ms MS   (10000, 3, 300000, 1000)\n"
    "  --for MS              say goodbye after MS milliseconds (0: at SIGINT or SIGTERM)\n"
    "TOPIC is a name, =5 for the predefined id 5, or ~ab for the short name ab.\n";

static bool complain(const char *option, const char *value, const char *wanted) {
  fputs(option, stderr);
  fputs(": \"", stderr);
  fputs(value, stderr);
  fputs("\" is not ", stderr);
  fputs(wanted, stderr);
  fputs("\n", stderr);
  return false;
}

static bool read_number(const char *option, const char *value, long least, long most, long *number) {
  char wanted[64];
  char *end = NULL;
  errno = 0;
  *number = strtol(value, &end, 10);
  if (errno == 0 && end != value && *end == 0 && *number >= least && *number <= most) return true;
  snprintf(wanted, sizeof wanted, "a number from %ld to %ld", least, most);
  return complain(option, value, wanted);
}

static bool read_topic(const char *option, const char *value, mqttsn_topic *topic) {
  long id;
  memset(topic, 0, sizeof *topic);
  if (value[0] == '=') {
    if (!read_number(option, value + 1, 1, 65534, &id)) return false;
    topic->type = MQTTSN_PREDEFINED;
    topic->id = (uint16_t)id;
    return true;
  }
  if (value[0] == '~') {
    if (strlen(value) != 3) return complain(option, value, "~ and a short name of two characters");
    topic->type = MQTTSN_SHORT;
    topic->id = (uint16_t)(((uint8_t)value[1] << 8) | (uint8_t)value[2]);
    return true;
  }
  if (value[0] == 0) return complain(option, value, "a topic");
  topic->name = value;
  return true;
}

static bool read_address(const char *value, options *read) {
  const char *colon = strrchr(value, ':');
  const char *host = value;
  size_t length;
  if (colon == NULL || colon[1] == 0 || strlen(colon + 1) >= sizeof read->port) {
    return complain("--udp", value, "HOST:PORT");
  }
  length = (size_t)(colon - value);
  if (length > 1 && host[0] == '[' && host[length - 1] == ']') {
    host++;
    length -= 2;
  }
  if (length == 0 || length >= sizeof read->host) return complain("--udp", value, "HOST:PORT");
  memcpy(read->host, host, length);
  read->host[length] = 0;
  strcpy(read->port, colon + 1);
  return true;
}

static bool read_flag(const char *option, options *read) {
  if (strcmp(option, "--clean") == 0) {
    read->clean = true;
  } else if (strcmp(option, "--retain") == 0) {
    read->retain = true;
  } else if (strcmp(option, "--will-retain") == 0) {
    read->will.retain = true;
  } else {
    return false;
  }
  return true;
}

static bool read_text(const char *option, const char *value, options *read, bool *is_good) {
  *is_good = true;
  if (strcmp(option, "--device") == 0) {
    read->device = value;
  } else if (strcmp(option, "--udp") == 0) {
    *is_good = read_address(value, read);
  } else if (strcmp(option, "--id") == 0) {
    read->client_id = value;
  } else if (strcmp(option, "--publish") == 0) {
    read->publishes = true;
    *is_good = read_topic(option, value, &read->publish);
  } else if (strcmp(option, "--payload") == 0) {
    read->payload = value;
    if (strlen(value) > PAYLOAD_MAX - 16) *is_good = complain(option, value, "short enough");
  } else if (strcmp(option, "--subscribe") == 0) {
    if (read->subscription_count == SUBSCRIPTIONS_MAX) {
      *is_good = complain(option, value, "taken: there are 8 subscriptions already");
    } else {
      *is_good = read_topic(option, value, &read->subscriptions[read->subscription_count++]);
    }
  } else if (strcmp(option, "--will-topic") == 0) {
    read->will.topic = value;
  } else if (strcmp(option, "--will-message") == 0) {
    if (strlen(value) > 255) *is_good = complain(option, value, "255 octets at most");
    read->will.message = (const uint8_t *)value;
    read->will.message_length = (uint8_t)strlen(value);
  } else {
    return false;
  }
  return true;
}

static const struct {
  const char *option;
  size_t place;
  long least;
  long most;
} NUMBERS[] = {
    {"--baud", offsetof(options, baud), 1, 4000000},
    {"--keep-alive", offsetof(options, keep_alive_seconds), 1, 65535},
    {"--qos", offsetof(options, qos), -1, 2},
    {"--each", offsetof(options, each_ms), 0, 86400000},
    {"--count", offsetof(options, count), 0, 1000000000},
    {"--size", offsetof(options, size), 0, PAYLOAD_MAX},
    {"--subscribe-qos", offsetof(options, subscribe_qos), 0, 2},
    {"--sleep", offsetof(options, sleep_seconds), 1, 65535},
    {"--wake", offsetof(options, wake_ms), 1, 86400000},
    {"--linger", offsetof(options, linger_ms), 0, 60000},
    {"--will-qos", offsetof(options, will_qos), 0, 2},
    {"--retry-ms", offsetof(options, retry_ms), 1, 600000},
    {"--retries", offsetof(options, retries), 1, 100},
    {"--wait-ms", offsetof(options, wait_ms), 1, 3600000},
    {"--reconnect-ms", offsetof(options, reconnect_ms), 1, 600000},
    {"--for", offsetof(options, for_ms), 1, 86400000},
};

static bool read_amount(const char *option, const char *value, options *read) {
  size_t at;
  for (at = 0; at < sizeof NUMBERS / sizeof *NUMBERS; at++) {
    long number = 0;
    if (strcmp(option, NUMBERS[at].option) != 0) continue;
    if (!read_number(option, value, NUMBERS[at].least, NUMBERS[at].most, &number)) return false;
    memcpy((char *)read + NUMBERS[at].place, &number, sizeof number);
    return true;
  }
  fprintf(stderr, "There is no option %s; --help lists them\n", option);
  return false;
}

bool options_read(options *read, int count, char **words) {
  int at;
  memset(read, 0, sizeof *read);
  read->baud = 115200;
  read->qos = 1;
  read->each_ms = 1000;
  read->payload = "";
  read->subscribe_qos = 1;
  read->linger_ms = 100;
  read->will.message = (const uint8_t *)"";
  for (at = 1; at < count; at++) {
    const char *option = words[at];
    bool is_good = true;
    if (strcmp(option, "--help") == 0) {
      fputs(USAGE, stdout);
      return false;
    }
    if (read_flag(option, read)) continue;
    if (at + 1 == count) {
      fprintf(stderr, "%s: no such option, or its value is missing; --help lists them\n", option);
      return false;
    }
    at++;
    if (!read_text(option, words[at], read, &is_good)) is_good = read_amount(option, words[at], read);
    if (!is_good) return false;
  }
  if (read->client_id == NULL || (read->device == NULL) == (read->host[0] == 0)) {
    fputs("--id, and either --device or --udp, are needed; --help tells more\n", stderr);
    return false;
  }
  if (!tty_is_baud(read->baud)) {
    fprintf(stderr, "--baud: %ld is not a usual speed\n", read->baud);
    return false;
  }
  read->will.qos = (uint8_t)read->will_qos;
  if (read->sleep_seconds > 0 && read->wake_ms == 0) read->wake_ms = read->sleep_seconds * 750;
  return true;
}
