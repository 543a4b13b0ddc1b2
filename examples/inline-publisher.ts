// The program publishes and subscribes itself, without a connection: its "inline client" passes no access rules and
// may write below $SYS.
import { createBroker, TcpListener } from "mqtt-broker";

const broker = createBroker();
const port = Number(process.env.PORT ?? 1883);
await broker.addListener(new TcpListener({ name: "main", host: "::", port, turn: broker.turn }));
await broker.start();

// Called with the retained messages at once, then with every message. The payload is only valid during the call.
const unsubscribe = broker.inlineClient.subscribe("command/#", (packet) => {
  const command = Buffer.from(packet.payload).toString();
  console.log(`${packet.topicName}: ${command}`);
  if (command === "stop") void stop();
});

// Retained, so that who subscribes later has the last value at once. Returns how many sessions it was for.
const timer = setInterval(() => {
  broker.publish("clock/now", new Date().toISOString(), { retain: true, qos: 1 });
}, 1000);
broker.publish("$SYS/example/started", new Date().toISOString(), { retain: true });

async function stop(): Promise<void> {
  clearInterval(timer);
  unsubscribe();
  await broker.stop();
}

console.log(`Listening on ${broker.urls.join(", ")}`);
process.once("SIGTERM", stop);
