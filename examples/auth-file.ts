// Users and rules in a file, which is followed while the program runs: what is saved holds within a second, for clients that
// are connected too, and with a mistake in it nothing changes.
//
//   mqtt-broker passwd add kim --group @family --auth-file auth-home.json5
//   node auth-file.ts
import { authFile, createBroker, type Log, TcpListener } from "mqtt-broker";

/** Mistakes in the file, refused logins and what rules deny; "info" would tell of each client and of each change too. */
const log: Log = {
  enabled: (level) => level === "error" || level === "warn",
  error: (message, fields = {}) => console.error(message, fields),
  warn: (message, fields = {}) => console.warn(message, fields),
  info: () => {},
  debug: () => {},
  trace: () => {},
};

const broker = createBroker({ auth: authFile("auth-home.json5"), limits: { loginFailures: 5 }, log });
const port = Number(process.env.PORT ?? 1883);
await broker.addListener(new TcpListener({ name: "main", host: "::", port, turn: broker.turn }));
await broker.start();
console.log(`Listening on ${broker.urls.join(", ")}`);

process.once("SIGTERM", () => broker.stop());
