/** A broker that keeps only the newest message of set-points, on a port that it says. It runs until it is killed. */
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { createBroker } from "../../src/library.ts";
import { sqliteStore } from "../../src/store/embedded.ts";

const broker = createBroker({
  store: sqliteStore({ folder: process.argv[2]! }),
  mqtt: { queue: { keepLast: ["set/#"] } },
});
await broker.start();
const server = createServer();
server.listen(0, "127.0.0.1");
await once(server, "listening");
await broker.listen(server);
process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
