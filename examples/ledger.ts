// Users, passwords and topics in the format of mochi's auth ledger. From a file: `ledgerFrom(readFileSync(path))`.
import { createBroker, ledger, TcpListener } from "mqtt-broker";

const READ = 1;
const WRITE = 2;
const BOTH = 3;

const auth = ledger({
  users: {
    // The first filter that matches decides.
    sensor: { password: "wet", acl: { "greenhouse/+/moisture": WRITE, "#": 0 } },
    gardener: { password: "green" },
    retired: { password: "any", disallow: true },
  },
  // For everybody else the first rule that matches: no password is asked of programs on this machine.
  auth: [{ remote: "127.0.0.1:*", username: "display", allow: true }, { allow: false }],
  acl: [
    { username: "gardener", filters: { "greenhouse/#": BOTH } },
    { username: "display", filters: { "greenhouse/#": READ } },
    // What no rule matches would be allowed, so the last one matches everything.
    { filters: { "#": 0 } },
  ],
});

const broker = createBroker({ auth });
const port = Number(process.env.PORT ?? 1883);
await broker.addListener(new TcpListener({ name: "main", host: "::", port, turn: broker.turn }));
await broker.start();
console.log(`Listening on ${broker.urls.join(", ")}`);

process.once("SIGTERM", () => broker.stop());
