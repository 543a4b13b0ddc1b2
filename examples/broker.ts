// A whole broker in a program of your own:
//
//   npm install mqtt-broker
//   node broker.ts
//   mosquitto_sub -t '#' -v        (in another terminal)
import { createBroker, TcpListener } from "mqtt-broker";

const port = Number(process.env.PORT ?? 1883);
// Without `auth` only clients on this machine get in.
const broker = createBroker();
await broker.addListener(new TcpListener({ name: "main", host: "::", port, turn: broker.turn }));
await broker.start();
console.log(`Listening on ${broker.urls.join(", ")}`);

// Ctrl+C: clients are told that the broker shuts down, and then nothing keeps the program alive.
process.once("SIGINT", () => broker.stop());
process.once("SIGTERM", () => broker.stop());
