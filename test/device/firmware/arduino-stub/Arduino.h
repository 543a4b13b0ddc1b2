// As much of Arduino's core as the sketch and the library use. Serial1 is standard input and output, what the sketch
// does to its pins goes to standard error, and its clock runs twenty times as fast.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HIGH 1
#define LOW 0
#define OUTPUT 1
#define LED_BUILTIN 13
#define A0 14

void pinMode(uint8_t pin, uint8_t mode);
void digitalWrite(uint8_t pin, uint8_t value);
int analogRead(uint8_t pin);
unsigned long millis();
char *itoa(int value, char *text, int radix);

class Stream {
 public:
  virtual ~Stream() {}
  virtual int available() = 0;
  virtual int read() = 0;
  virtual size_t write(const uint8_t *octets, size_t length) = 0;
};

class HardwareSerial : public Stream {
 public:
  void begin(unsigned long baud);
  int available() override;
  int read() override;
  size_t write(const uint8_t *octets, size_t length) override;
};

extern HardwareSerial Serial1;
