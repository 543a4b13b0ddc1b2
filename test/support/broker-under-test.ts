import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Access, allowAll, createBroker, TcpListener } from "../../src/library.ts";

/** A broker on loopback that tests of clients talk to. */
export interface BrokerUnderTest {
  port: number;
  /** Unix socket of the same broker. */
  unixPath: string;
  /** Ends it and removes its files. Idempotent. */
  stop(): Promise<void>;
}

export interface BrokerOptions {
  /** Users and passwords; without any, everybody may connect. Users may use topics under `ok/` only. */
  users?: Readonly<Record<string, string>>;
}

/** Starts a broker on a free port of 127.0.0.1; resolves when it accepts connections. */
export async function startBroker({ users = {} }: BrokerOptions = {}): Promise<BrokerUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), "broker-under-test-"));
  const broker = createBroker({
    auth: Object.keys(users).length === 0 ? allowAll() : accessFor(users),
    // Larger than anything that a client is tested with.
    mqtt: { maximumPacketSize: 64 * 1024 * 1024 },
    limits: { retainedMessageBytes: 64 * 1024 * 1024 },
  });
  await broker.addListener(new TcpListener({ name: "main", host: "127.0.0.1", port: 0, turn: broker.turn }));
  await broker.start();
  const unixPath = join(folder, "mqtt.sock");
  const server = createServer({ allowHalfOpen: true }).listen(unixPath);
  await once(server, "listening");
  await broker.listen(server, "unix");
  return {
    port: Number(new URL(broker.urls[0] ?? "").port),
    unixPath,
    stop: async () => {
      await broker.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function accessFor(users: Readonly<Record<string, string>>): Access {
  return {
    authenticate: (_, { userName, password }) =>
      userName !== undefined && password !== undefined && users[userName] === new TextDecoder().decode(password),
    check: (_, topic) => topic.startsWith("ok/"),
  };
}
