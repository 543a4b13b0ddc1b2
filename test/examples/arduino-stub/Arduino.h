/* What the example uses of Arduino's core, declared only: enough for a compiler to check the sketch. */
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define HIGH 1
#define LOW 0
#define OUTPUT 1
#define LED_BUILTIN 13
#define A0 14

void pinMode(uint8_t pin, uint8_t mode);
void digitalWrite(uint8_t pin, uint8_t value);
int analogRead(uint8_t pin);
unsigned long millis(void);

class Print {
public:
  size_t print(const char *text);
  size_t println(int value);
};

class HardwareSerial : public Print {
public:
  void begin(unsigned long baud);
};

extern HardwareSerial Serial;

class Client {};
