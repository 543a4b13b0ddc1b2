// A client in Node.js with MQTT.js (npm install mqtt): subscribes, publishes to itself, and ends.
//
//   BROKER=mqtt://localhost:1883 node client-mqttjs.ts
import mqtt from "mqtt";

const client = await mqtt.connectAsync(process.env.BROKER ?? "mqtt://localhost:1883", {
  protocolVersion: 5,
  // With an identifier and an expiry of its own the session, and what is published meanwhile, outlives a restart.
  clientId: `example-mqttjs-${process.pid}`,
  clean: false,
  properties: { sessionExpiryInterval: 60 },
});

const received = new Promise<void>((resolve) => {
  client.on("message", (topic, payload, { qos }) => {
    console.log(`${topic} (QoS ${qos}): ${payload}`);
    resolve();
  });
});
await client.subscribeAsync("example/mqttjs", { qos: 1 });
await client.publishAsync("example/mqttjs", "hello from MQTT.js", { qos: 1 });
await received;
await client.endAsync();
