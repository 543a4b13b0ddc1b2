#include "Arduino.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

void setup();
void loop();

HardwareSerial Serial1;

void pinMode(uint8_t pin, uint8_t mode) { fprintf(stderr, "mode %d %d\n", pin, mode); }
void digitalWrite(uint8_t pin, uint8_t value) { fprintf(stderr, "pin %d %d\n", pin, value); }
int analogRead(uint8_t) { return 512; }

unsigned long millis() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<unsigned long>(now.tv_sec) * 20000 + static_cast<unsigned long>(now.tv_nsec / 50000);
}

char *itoa(int value, char *text, int) {
  sprintf(text, "%d", value);
  return text;
}

void HardwareSerial::begin(unsigned long baud) { fprintf(stderr, "baud %lu\n", baud); }

int HardwareSerial::available() {
  pollfd here = {0, POLLIN, 0};
  return poll(&here, 1, 0) == 1 ? 1 : 0;
}

int HardwareSerial::read() {
  uint8_t octet;
  // The test is over.
  if (::read(0, &octet, 1) != 1) exit(0);
  return octet;
}

size_t HardwareSerial::write(const uint8_t *octets, size_t length) {
  return static_cast<size_t>(::write(1, octets, length));
}

int main() {
  setup();
  for (;;) {
    loop();
    usleep(500);
  }
}
