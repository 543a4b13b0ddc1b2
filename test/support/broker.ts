import net from "node:net";
import type { Hook } from "../../src/core/hooks.ts";
import type { Limits } from "../../src/core/limits.ts";
import type { BrokerOptions } from "../../src/core/options.ts";
import { type ConnectOptions, connect, dial, RawClient, type Version } from "./raw-client.ts";

export interface TestBrokerOptions {
  mqtt?: Partial<BrokerOptions>;
  limits?: Partial<Limits>;
  hooks?: Hook[];
}

/**
 * A broker in this process on a free port of the loopback, whose clock moves only by `advance`.
 * With BROKER_PORT in the environment the tests speak to a broker that runs there instead: to try the tests
 * themselves against another implementation. `advance` then really waits, and options are not applied.
 */
export interface TestBroker {
  readonly port: number;
  /** Connects a client that is accepted. */
  connect(options?: ConnectOptions): Promise<RawClient>;
  /** Sends CONNECT and leaves the answer to the test. */
  dial(options?: ConnectOptions): Promise<RawClient>;
  /** Connects only the socket. */
  open(version?: Version): Promise<RawClient>;
  /** Lets this many milliseconds pass and everything happen that is due then. */
  advance(ms: number): Promise<void>;
  stop(): Promise<void>;
}

export async function startBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  const port = Number(process.env.BROKER_PORT ?? 0);
  if (port !== 0)
    return conversations(
      port,
      (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      async () => {},
    );
  throw new Error(`not yet ${options} ${net}`);
}

/** Clients that a failed test left open are cut off at the end, so that the test file ends too. */
function conversations(port: number, advance: (ms: number) => Promise<void>, stop: () => Promise<void>): TestBroker {
  const clients: RawClient[] = [];
  const keep = async (opening: Promise<RawClient>): Promise<RawClient> => {
    const client = await opening;
    clients.push(client);
    return client;
  };
  return {
    port,
    connect: (options) => keep(connect(port, options)),
    dial: (options) => keep(dial(port, options)),
    open: (version) => keep(RawClient.open(port, version)),
    advance,
    async stop() {
      for (const client of clients) client.socket.destroy();
      await stop();
    },
  };
}
