import { allowAll, type CreateBrokerOptions, createBroker, TcpListener } from "../../src/library.ts";
import { type ConnectOptions, connect, dial, RawClient, type Version } from "./raw-client.ts";

export type TestBrokerOptions = Pick<CreateBrokerOptions, "mqtt" | "limits" | "hooks">;

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
  /** Stops the broker, while its clients look on. */
  halt(): Promise<void>;
  /** Stops the broker and cuts off clients that are still there. */
  stop(): Promise<void>;
}

export async function startBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  const foreign = Number(process.env.BROKER_PORT ?? 0);
  if (foreign !== 0) {
    const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
    return conversations(foreign, wait, async () => {});
  }
  // An arbitrary start: nothing may depend on a clock that begins at 0.
  let nowMs = 1_000_000;
  const clock = { nowMs: () => nowMs, wallMs: () => 1_700_000_000_000 + nowMs, trusted: () => true };
  const broker = createBroker({ ...options, auth: allowAll(), clock });
  const listener = new TcpListener({ name: "test", host: "127.0.0.1", port: 0, turn: broker.turn });
  await broker.addListener(listener);
  await broker.start();
  const advance = async (ms: number) => {
    nowMs += ms;
    broker.tick();
  };
  return conversations(Number(new URL(listener.url).port), advance, () => broker.stop());
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
    halt: stop,
    async stop() {
      for (const client of clients) client.socket.destroy();
      await stop();
    },
  };
}
