// A broker that keeps sessions and messages in a store of your own. Stop it and start it again: what it acknowledged is
// there. The broker that runs as a program loads a store from a module: mqtt-broker --store module --store-module FILE
import { createBroker, TcpListener } from "mqtt-broker";
import { LogStore } from "./log-store.ts";

const broker = createBroker({
  store: new LogStore("changes.log"),
  // Rather than forgetting everything, it does not start.
  storeRequired: true,
  onStoreFailed: () => process.exit(1),
});
const port = Number(process.env.PORT ?? 1883);
await broker.addListener(new TcpListener({ name: "main", host: "127.0.0.1", port, turn: broker.turn }));
await broker.start();
console.log(`Listening on ${broker.urls.join(", ")}`);

process.once("SIGTERM", () => broker.stop());
