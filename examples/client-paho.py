"""A client in Python with Paho (pip install paho-mqtt): subscribes, publishes to itself, and ends.

    python3 client-paho.py [HOST [PORT]]

Written for paho-mqtt 2 and its second callback interface. Debian 12 has version 1.6 (python3-paho-mqtt), which knows
no such choice: hence the two lines that ask. With MQTT 5.0 the callbacks of both have the same parameters.
"""

import sys

import paho.mqtt.client as mqtt

HOST = sys.argv[1] if len(sys.argv) > 1 else "localhost"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 1883
TOPIC = "example/paho"


def on_connect(client, userdata, flags, reason_code, properties):
    if reason_code != 0:
        sys.exit(f"Not connected: {reason_code}")
    # Subscribing here renews the subscription after every reconnect.
    client.subscribe(TOPIC, qos=1)


def on_subscribe(client, userdata, mid, reason_codes, properties):
    client.publish(TOPIC, "hello from Paho", qos=1)


def on_message(client, userdata, message):
    print(f"{message.topic} (QoS {message.qos}): {message.payload.decode()}")
    client.disconnect()


choice = [mqtt.CallbackAPIVersion.VERSION2] if hasattr(mqtt, "CallbackAPIVersion") else []
client = mqtt.Client(*choice, client_id="example-paho", protocol=mqtt.MQTTv5)
client.on_connect = on_connect
client.on_subscribe = on_subscribe
client.on_message = on_message
client.connect(HOST, PORT, keepalive=60)
client.loop_forever()
