/* The interface of PubSubClient 2.8, as far as the example uses it. */
#pragma once
#include "Arduino.h"

class PubSubClient {
public:
  PubSubClient(Client &client);
  PubSubClient &setServer(const char *domain, uint16_t port);
  PubSubClient &setCallback(void (*callback)(char *, uint8_t *, unsigned int));
  bool connect(const char *id, const char *user, const char *pass, const char *willTopic, uint8_t willQos,
               bool willRetain, const char *willMessage);
  bool publish(const char *topic, const char *payload);
  bool publish(const char *topic, const char *payload, bool retained);
  bool subscribe(const char *topic, uint8_t qos);
  bool loop();
  bool connected();
  int state();
};
