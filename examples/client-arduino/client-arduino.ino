// A sensor for Arduino boards with Wi-Fi (ESP32, ESP8266, MKR ...), with the library PubSubClient by Nick O'Leary
// (Library Manager). It publishes a reading every ten seconds, and switches the built-in light when told to:
//
//   mosquitto_sub -t 'garden/#' -v
//   mosquitto_pub -t garden/light -m on
//
// By default the broker lets in clients on its own machine only. Give it a user for this board, as ledger.ts shows, or
// in a network that you trust start it with --allow-anonymous.
#include <PubSubClient.h>
#if defined(ESP8266)
#include <ESP8266WiFi.h>
#else
#include <WiFi.h>
#endif

const char *WIFI_NAME = "my network";
const char *WIFI_PASSWORD = "its password";
// An address, or a name such as gateway.local where the board can look those up.
const char *BROKER = "192.168.1.10";
const uint16_t PORT = 1883;
const char *USER = "sensor";
const char *PASSWORD = "wet";
// Different for every board: a second client of the same name would throw out the first.
const char *CLIENT_ID = "garden-1";

const unsigned long INTERVAL_MS = 10000;
const unsigned long RETRY_MS = 3000;

WiFiClient network;
PubSubClient mqtt(network);
unsigned long publishedMs = 0;
unsigned long triedMs = 0;

// The payload is not terminated by a zero, and is only valid during the call.
void onMessage(char *topic, uint8_t *payload, unsigned int length) {
  if (strcmp(topic, "garden/light") == 0) {
    digitalWrite(LED_BUILTIN, length == 2 && memcmp(payload, "on", 2) == 0 ? HIGH : LOW);
  }
}

// When the board vanishes the broker publishes "offline" for it, retained; whoever subscribes sees how it stands.
void connectBroker() {
  if (!mqtt.connect(CLIENT_ID, USER, PASSWORD, "garden/state", 1, true, "offline")) {
    Serial.print("No connection to the broker, state ");
    Serial.println(mqtt.state());
    return;
  }
  mqtt.publish("garden/state", "online", true);
  mqtt.subscribe("garden/light", 1);
}

void setup() {
  Serial.begin(115200);
  pinMode(LED_BUILTIN, OUTPUT);
  WiFi.begin(WIFI_NAME, WIFI_PASSWORD);
  mqtt.setServer(BROKER, PORT);
  mqtt.setCallback(onMessage);
}

// Never waits, so that the rest of a sketch goes on while the network is away.
void loop() {
  const unsigned long nowMs = millis();
  if (!mqtt.connected()) {
    if (WiFi.status() == WL_CONNECTED && nowMs - triedMs >= RETRY_MS) {
      triedMs = nowMs;
      connectBroker();
    }
    return;
  }
  mqtt.loop();
  if (nowMs - publishedMs >= INTERVAL_MS) {
    publishedMs = nowMs;
    char text[12];
    snprintf(text, sizeof text, "%d", analogRead(A0));
    mqtt.publish("garden/moisture", text);
  }
}
