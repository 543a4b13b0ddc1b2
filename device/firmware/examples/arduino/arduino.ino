/*
 * A sensor on a serial line: every ten seconds it publishes the voltage at A0 with QoS 1, and it switches its LED as
 * the broker says.
 *
 * Wiring, board to gateway:
 *   TX1 -> RX of the gateway's UART (or USB adapter), RX1 -> TX, GND -> GND. Never leave GND out.
 *   Both ends must have the same voltage. A 5 V board (Uno, Mega) to a 3.3 V gateway (Raspberry Pi) needs a divider in
 *   the board's TX line: 1 kOhm in series, 2 kOhm from the gateway's side to GND. Or use an adapter that is set to 5 V.
 *   More than a metre or two, or near motors: an RS-485 transceiver with automatic direction at each end, a pair of
 *   wires from A to A and B to B, and 120 Ohm across the pair at both ends.
 *
 * A board with one UART only (Uno, Nano) uses Serial, over its own USB cable: change LINE below. Opening the port
 * resets such a board; the library recovers from that, as from everything else.
 *
 * The gateway: mqtt-broker --serial /dev/serial/by-id/usb-...:115200,framing=slip-crc
 */
#include <mqttsn-arduino.h>

#if defined(__AVR_ATmega328P__)
#define LINE Serial
#else
#define LINE Serial1
#endif

static const uint32_t EACH_MS = 10000;

static mqttsn_topic voltage = MQTTSN_TOPIC("cellar/voltage");
static mqttsn_topic lamp = MQTTSN_TOPIC("cellar/lamp");

static mqttsn_port port = mqttsn_stream_port(LINE);
static mqttsn_line line;
static uint8_t buffer[64];  // the longest message to come, and 2

static mqttsn_client client;
static mqttsn_config config;
static uint8_t text[8];  // what is being published: it must stay as it is until it has arrived
static uint32_t publishedMs;

static void onEvent(void *, const mqttsn_event *event) {
  if (event->type == MQTTSN_MESSAGE && event->topic == &lamp) {
    digitalWrite(LED_BUILTIN, event->length == 2 && event->data[1] == 'n' ? HIGH : LOW);  // "on", else off
  }
}

void setup() {
  pinMode(LED_BUILTIN, OUTPUT);
  LINE.begin(115200);
  mqttsn_line_init(&line, &port, buffer, sizeof buffer);

  config.transport.context = &line;
  config.transport.send = mqttsn_line_send;
  config.transport.receive = mqttsn_line_receive;
  config.transport.now_ms = mqttsn_line_now_ms;
  config.client_id = "cellar";
  config.clean_session = true;
  config.on_event = onEvent;
  mqttsn_init(&client, &config);
  mqttsn_subscribe(&client, &lamp, 1);
  mqttsn_connect(&client);
}

void loop() {
  mqttsn_poll(&client);
  if (millis() - publishedMs < EACH_MS || !mqttsn_is_idle(&client)) return;
  int millivolts = static_cast<int>(analogRead(A0) * 5000L / 1023);
  itoa(millivolts, reinterpret_cast<char *>(text), 10);
  size_t length = strlen(reinterpret_cast<char *>(text));
  if (mqttsn_publish(&client, &voltage, text, length, 1, false) == MQTTSN_OK) publishedMs = millis();
}
