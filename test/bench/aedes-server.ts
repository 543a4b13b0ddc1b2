// Aedes as its documentation starts it, with queue limits lifted: `node aedes-server.ts PORT`.
import { createServer } from "node:net";
import { Aedes } from "aedes";

const port = Number(process.argv[2]);
// `queueLimit` is how many packets may wait before the client has authenticated: a pipelining client sends many.
const broker = await Aedes.createBroker({ concurrency: 1000, queueLimit: 100_000 });
const server = createServer({ noDelay: true }, broker.handle);
server.listen({ port, host: "127.0.0.1", backlog: 1024 });
process.on("SIGTERM", () => process.exit(0));
