import type { TestContext } from "node:test";
import {
  allowAll,
  type CreateBrokerOptions,
  createBroker,
  type RunningBroker,
  TcpListener,
} from "../../src/library.ts";
import { type ConnectOptions, connect, dial, type RawClient } from "../support/raw-client.ts";

/** A broker of the library that listens on a free port of the loopback. Stopped, with its clients, after the test. */
export interface LibraryBroker {
  broker: RunningBroker;
  port: number;
  connect(options?: ConnectOptions): Promise<RawClient>;
  dial(options?: ConnectOptions): Promise<RawClient>;
}

export async function startLibrary(context: TestContext, options: CreateBrokerOptions = {}): Promise<LibraryBroker> {
  const broker = createBroker({ auth: allowAll(), ...options });
  await broker.addListener(tcpListener(broker));
  await broker.start();
  const clients: RawClient[] = [];
  context.after(async () => {
    for (const client of clients) client.socket.destroy();
    await broker.stop();
  });
  const port = portOf(broker);
  const keep = async (opening: Promise<RawClient>): Promise<RawClient> => {
    const client = await opening;
    clients.push(client);
    return client;
  };
  return {
    broker,
    port,
    connect: (connectOptions) => keep(connect(port, connectOptions)),
    dial: (connectOptions) => keep(dial(port, connectOptions)),
  };
}

export function tcpListener(broker: RunningBroker, name = "test", port = 0): TcpListener {
  return new TcpListener({ name, host: "127.0.0.1", port, turn: broker.turn });
}

/** Of the listener at this place in the order in which they were added. */
export function portOf(broker: RunningBroker, index = 0): number {
  return Number(new URL(broker.urls[index]!).port);
}

/** Turns of the event loop: what was written by then has been sent, though not read. */
export async function turns(count = 2): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}
