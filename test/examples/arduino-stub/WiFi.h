#pragma once
#include "Arduino.h"

#define WL_CONNECTED 3

class WiFiClient : public Client {};

class WiFiClass {
public:
  int begin(const char *name, const char *password);
  uint8_t status();
};

extern WiFiClass WiFi;
